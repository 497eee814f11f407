-- The target of desynpuf.yaml: patients, encounters (segments of inpatient claims), conditions.

CREATE TABLE patients (
    patient_id   text PRIMARY KEY,
    birth_date   date NOT NULL,
    death_date   date,
    sex          varchar(1) NOT NULL,
    race         varchar(10) NOT NULL,
    state_code   varchar(2) NOT NULL,
    county_code  varchar(3) NOT NULL,
    as_of_file   text NOT NULL
);

CREATE TABLE encounters (
    claim_id      bigint NOT NULL,
    segment       smallint NOT NULL,
    patient_id    text NOT NULL REFERENCES patients,
    claim_from    date,
    claim_thru    date,
    admitted_at   date NOT NULL,
    discharged_at date,
    paid          numeric(12,2) NOT NULL,
    provider      text,
    drg           varchar(3),
    PRIMARY KEY (claim_id, segment)
);

CREATE TABLE conditions (
    claim_id     bigint NOT NULL,
    segment      smallint NOT NULL,
    position     smallint NOT NULL,
    cluster_seq  smallint NOT NULL,
    patient_id   text NOT NULL REFERENCES patients,
    code         varchar(7) NOT NULL,
    code_system  text NOT NULL,
    source_code  text NOT NULL,
    gem_category text NOT NULL,
    gem_map      text NOT NULL,
    PRIMARY KEY (claim_id, segment, position, cluster_seq),
    FOREIGN KEY (claim_id, segment) REFERENCES encounters
);
