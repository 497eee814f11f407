-- A hospital system as it grew since the eighties: text where dates and numbers should
-- be, no foreign keys, and codes that changed their meaning along the way.

CREATE TABLE legacy_facilities (
    fac_cd    varchar(10) PRIMARY KEY,
    fac_name  text,
    city      text,
    beds      text
);

CREATE TABLE legacy_patients (
    id             integer PRIMARY KEY,
    pat_id         text,
    mrn            text,
    pat_fname      text,
    pat_lname      text,
    dob            text,            -- MM/DD/YYYY, since 2003 YYYYMMDD
    sex            text,            -- M and F, from the registration desk 1 and 2
    weight_lb      text,
    address        text,
    city           text,
    state          text,
    zip            text,
    phone          text,
    mother_pat_id  text,
    del_flag       varchar(1),
    updated_at     timestamp
);

CREATE TABLE legacy_visits (
    visit_id    bigint PRIMARY KEY,
    pat_id      text,               -- padded to 14 characters by the old billing system
    fac_cd      text,
    visit_type  text,
    admit_dt    text,               -- YYYY-MM-DD HH:MM:SS, or MM/DD/YYYY HH:MM
    disch_dt    text,
    disp_cd     text,
    charges     text,
    status      varchar(1)
);

CREATE TABLE legacy_diagnoses (
    diag_id         bigint PRIMARY KEY,
    visit_id        bigint,
    pat_id          text,
    diagnosis_code  text,           -- ICD-9-CM with its dot
    seq_no          text,
    poa             varchar(1),
    del_flag        varchar(1)
);

CREATE TABLE legacy_allergies (
    allergy_no  integer PRIMARY KEY,
    pat_id      text,
    allergen    text,
    severity    text,
    reaction    text,
    onset       text
);

-- What the generator knows, kept apart from the hospital's own tables.
CREATE SCHEMA truth;

CREATE TABLE truth.hospital (
    patients  integer NOT NULL,
    seed      integer NOT NULL,
    version   text NOT NULL
);

-- Every violation that a migration with demo/hospital.yaml must find. rule_id is null
-- where the specification gives the check no name.
CREATE TABLE truth.violations (
    load          text NOT NULL,
    source_table  text NOT NULL,
    source_key    text NOT NULL,
    error_code    text NOT NULL,
    rule_id       text,
    warning       boolean NOT NULL,
    fault         text NOT NULL
);

-- What must become of the candidates of each load.
CREATE TABLE truth.counts (
    load        text PRIMARY KEY,
    candidates  bigint NOT NULL,
    accepted    bigint NOT NULL,
    rejected    bigint NOT NULL,
    skipped     bigint NOT NULL,
    expanded    bigint NOT NULL
);
