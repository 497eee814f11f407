-- Where the MIMIC-III demo goes: typed, keyed, and strict.

CREATE TABLE patients (
    patient_id        integer PRIMARY KEY,
    sex               varchar(1) NOT NULL CHECK (sex IN ('M', 'F')),
    birth_date        date NOT NULL,
    death_date        date,
    death_in_hospital date,
    death_in_ssa      date,
    died              boolean NOT NULL,
    CHECK (birth_date <= death_date)
);

CREATE TABLE admissions (
    admission_id     integer PRIMARY KEY,
    patient_id       integer NOT NULL REFERENCES patients,
    admitted_at      timestamp NOT NULL,
    discharged_at    timestamp NOT NULL,
    died_at          timestamp,
    emergency_from   timestamp,
    emergency_until  timestamp,
    admission_type   varchar(9) NOT NULL,
    admitted_from    varchar(50) NOT NULL,
    discharged_to    varchar(50) NOT NULL,
    insurance        varchar(20) NOT NULL,
    language         varchar(10),
    religion         varchar(50),
    marital_status   varchar(50),
    ethnicity        varchar(80) NOT NULL,
    diagnosis        varchar(255),
    died_in_hospital boolean NOT NULL,
    has_chart        boolean NOT NULL,
    CHECK (admitted_at <= discharged_at)
);

-- A cluster makes several rows of one diagnosis, numbered by cluster_seq.
CREATE TABLE diagnoses (
    diagnosis_id  integer,
    cluster_seq   integer,
    patient_id    integer NOT NULL REFERENCES patients,
    admission_id  integer NOT NULL REFERENCES admissions,
    rank          smallint NOT NULL,
    code          varchar(7) NOT NULL,
    code_system   text NOT NULL,
    source_code   varchar(5) NOT NULL,
    gem_category  text NOT NULL,
    gem_flags     text,                        -- none where the site has decided
    gem_map       text NOT NULL,
    PRIMARY KEY (diagnosis_id, cluster_seq)
);

CREATE TABLE procedures (
    procedure_id  integer PRIMARY KEY,
    patient_id    integer NOT NULL REFERENCES patients,
    admission_id  integer NOT NULL REFERENCES admissions,
    rank          smallint NOT NULL,
    code          varchar(4) NOT NULL,
    code_system   text NOT NULL,
    UNIQUE (admission_id, rank)
);
