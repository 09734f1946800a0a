CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.crystals (
    id text NOT NULL COLLATE pg_catalog."C",
    formula text NOT NULL COLLATE pg_catalog."C",
    elements text NOT NULL COLLATE pg_catalog."C",
    nelements integer NOT NULL,
    n_atoms integer NOT NULL,
    volume_per_atom double precision NOT NULL,
    lattice bytea NOT NULL,
    numbers bytea NOT NULL,
    frac_coords bytea NOT NULL
);
CREATE TABLE public.cursors (
    run_id integer NOT NULL,
    source_index integer NOT NULL,
    source text NOT NULL COLLATE pg_catalog."C",
    next_position bigint NOT NULL,
    exhausted boolean NOT NULL
);
CREATE TABLE public.inputs (
    run_id integer NOT NULL,
    source_index integer NOT NULL,
    "position" bigint NOT NULL,
    source_id text NOT NULL COLLATE pg_catalog."C",
    crystal_id text COLLATE pg_catalog."C",
    outcome text NOT NULL COLLATE pg_catalog."C",
    stage text COLLATE pg_catalog."C",
    reason text COLLATE pg_catalog."C",
    detail text COLLATE pg_catalog."C",
    metadata text,
    shard_id integer,
    slot integer
);
CREATE TABLE public.models (
    id integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    sha256 text NOT NULL COLLATE pg_catalog."C",
    metrics text NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    promotion integer,
    created double precision NOT NULL
);
CREATE SEQUENCE public.models_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.models_id_seq OWNED BY public.models.id;
CREATE TABLE public.results (
    crystal_id text NOT NULL COLLATE pg_catalog."C",
    model_id integer NOT NULL,
    run_id integer NOT NULL,
    created double precision NOT NULL,
    spacegroup integer,
    point_group text COLLATE pg_catalog."C",
    symprec double precision,
    symmetry_ambiguous boolean,
    spacegroup_1e3 integer,
    spacegroup_1e2 integer,
    spacegroup_1e1 integer,
    k_voigt_gpa double precision,
    k_reuss_gpa double precision,
    k_vrh_gpa double precision,
    g_voigt_gpa double precision,
    g_reuss_gpa double precision,
    g_vrh_gpa double precision,
    young_vrh_gpa double precision,
    poisson_vrh double precision,
    universal_anisotropy double precision,
    pugh_ratio double precision,
    elastic_min_eigenvalue_gpa double precision,
    mechanically_stable boolean,
    e_max_c_per_m2 double precision,
    e_norm_c_per_m2 double precision,
    d_max_pc_per_n double precision,
    d_norm_pc_per_n double precision,
    d_hydrostatic_pc_per_n double precision,
    piezo_allowed boolean,
    eps_electronic_mean double precision,
    eps_electronic_min double precision,
    eps_electronic_max double precision,
    eps_total_mean double precision,
    eps_total_min double precision,
    eps_total_max double precision,
    refractive_index double precision,
    birefringence double precision,
    optical_class text COLLATE pg_catalog."C",
    dielectric_electronic bytea,
    dielectric_total bytea,
    piezoelectric bytea,
    elastic_voigt bytea,
    removed_fraction_dielectric_electronic double precision,
    removed_fraction_dielectric_total double precision,
    removed_fraction_piezoelectric double precision,
    removed_fraction_elastic_voigt double precision,
    warnings text NOT NULL
);
CREATE TABLE public.runs (
    id integer NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    sources text NOT NULL,
    fingerprints text NOT NULL,
    settings text NOT NULL,
    model_id integer NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    created double precision NOT NULL,
    finished double precision,
    seconds double precision NOT NULL
);
CREATE SEQUENCE public.runs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.runs_id_seq OWNED BY public.runs.id;
CREATE TABLE public.shards (
    run_id integer NOT NULL,
    shard_id integer NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    token integer NOT NULL,
    attempt integer NOT NULL,
    holder text COLLATE pg_catalog."C",
    heartbeat double precision,
    finished double precision,
    n_crystals integer NOT NULL,
    n_atoms bigint NOT NULL
);
ALTER TABLE ONLY public.models ALTER COLUMN id SET DEFAULT nextval('public.models_id_seq'::regclass);
ALTER TABLE ONLY public.runs ALTER COLUMN id SET DEFAULT nextval('public.runs_id_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.crystals VALUES ('4936401b31dca7124c5fb4480fc425b5', 'Kr', ',Kr,', 1, 1, 71.56375904285412, '\x0a673faf3f8c10401893be03a177cdbf864cac95b060ddbf442f7b1236f1debf79b3e0e9c94011400690695e966ada3fb0ed80717b4cbb3f4c41fcaf2460cd3f72879e07ac2c1040', '\x2400', '\xd7eaf1001deced3f06e0a8e9781bea3f00d277150d6f663f');
INSERT INTO public.crystals VALUES ('5fae2d5dd5acbb7795db428be2ed3ca1', 'MgNb', ',Mg,Nb,', 2, 2, 30.764638777323153, '\x8ce4cdf71a0c1040aa54f0ae65d4dc3ffac47dc216c6d6bf1aabb42bacb6dc3f6cfe017da17e0e40908721bae0a0b3bf9a7bd14c14f9d43fc835beb3b93eb7bf48930ab0c8321040', '\x0c002900', '\x00cc57c874389c3fe6b2db85c71ce83ff3cf5a537838e13fa652b40e531ad53f5a7c0ed5ce3ae93f46ee07498b67d33f');
INSERT INTO public.crystals VALUES ('8cd685097b0aea797b6d45130a14613c', 'BeBrSe', ',Be,Br,Se,', 3, 3, 19.588953281724898, '\x5bb3461ac8170e40480272ce0acbc9bfec7bda47461cd43f661ea3980c1edabfec5695c0806610409416e8a97841cd3f0275c0c66df9d3bf5aaac7477a78dcbf3f77d42323330e40', '\x220023000400', '\x797146f6b009e53f51c8298f14fee13fe84ca1803d35c33f8af26f0e39b0db3f02b8152be26ae53fe27e3c72e70edb3f1408e7ed0b43e43f1eeb1d3e3cf5ee3fc5c51bc2aadbe53f');
INSERT INTO public.crystals VALUES ('cc5028ce7660c8de275e141f534768a3', 'Fe', ',Fe,', 1, 1, 54.3103914587548, '\xe4aebaaf52381140267341494db5d33f4035c0fb01638f3f8054af41dc6acbbf10d65738736e0c4000dab87a89dbbdbfe0c66dcd4c6eb7bfb49cb712361addbf14022815db630c40', '\x1a00', '\x17c3243040f9ef3f861ce62f35e0e43f780860276e04ce3f');
INSERT INTO public.cursors VALUES (1, 0, 'made', 6, true);
INSERT INTO public.inputs VALUES (1, 0, 1, 'made-1', '5fae2d5dd5acbb7795db428be2ed3ca1', 'accepted', NULL, NULL, NULL, '{"position": 1}', 0, 2);
INSERT INTO public.inputs VALUES (1, 0, 2, 'made-2', '8cd685097b0aea797b6d45130a14613c', 'accepted', NULL, NULL, NULL, '{"position": 2}', 1, 0);
INSERT INTO public.inputs VALUES (1, 0, 4, 'made-4', '5fae2d5dd5acbb7795db428be2ed3ca1', 'duplicate', NULL, NULL, NULL, '{"position": 4}', NULL, NULL);
INSERT INTO public.inputs VALUES (1, 0, 5, 'made-5', 'cc5028ce7660c8de275e141f534768a3', 'accepted', NULL, NULL, NULL, '{"position": 5}', 0, 1);
INSERT INTO public.inputs VALUES (1, 0, 3, 'made-3', NULL, 'rejected', 'ingest', 'overlap', 'detail of 3', NULL, NULL, NULL);
INSERT INTO public.inputs VALUES (1, 0, 0, 'made-0', '4936401b31dca7124c5fb4480fc425b5', 'quarantined', 'predict', 'model_failed', 'poison', '{"position": 0}', 0, 0);
INSERT INTO public.models VALUES (1, 'toy', '1', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', '{}', 'current', 1, 1795412097.217842);
INSERT INTO public.results VALUES ('5fae2d5dd5acbb7795db428be2ed3ca1', 1, 1, 1795412099.045056, 86, 'm-3m', 0.01, false, NULL, 1, NULL, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, false, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, false, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 37.375148315913975, 'uniaxial', '\x000040578bebd73f0000d0d5e2faf53f0000e86a71fd02400000e86a71fd0a40000074b5b87e1140000074b5b87e1540000074b5b87e1940000074b5b87e1d400000ba5a5cbf2040', '\x000040578bebd73f0000d0d5e2faf53f0000e86a71fd02400000e86a71fd0a40000074b5b87e1140000074b5b87e1540000074b5b87e1940000074b5b87e1d400000ba5a5cbf2040', '\x000040578bebd73f0000d0d5e2faf53f0000e86a71fd02400000e86a71fd0a40000074b5b87e1140000074b5b87e1540000074b5b87e1940000074b5b87e1d400000ba5a5cbf20400000ba5a5cbf22400000ba5a5cbf24400000ba5a5cbf26400000ba5a5cbf28400000ba5a5cbf2a400000ba5a5cbf2c400000ba5a5cbf2e4000005d2dae5f304000005d2dae5f314000005d2dae5f324000005d2dae5f334000005d2dae5f344000005d2dae5f354000005d2dae5f364000005d2dae5f374000005d2dae5f384000005d2dae5f394000005d2dae5f3a40', '\x000040578bebd73f0000d0d5e2faf53f0000e86a71fd02400000e86a71fd0a40000074b5b87e1140000074b5b87e1540000074b5b87e1940000074b5b87e1d400000ba5a5cbf20400000ba5a5cbf22400000ba5a5cbf24400000ba5a5cbf26400000ba5a5cbf28400000ba5a5cbf2a400000ba5a5cbf2c400000ba5a5cbf2e4000005d2dae5f304000005d2dae5f314000005d2dae5f324000005d2dae5f334000005d2dae5f344000005d2dae5f354000005d2dae5f364000005d2dae5f374000005d2dae5f384000005d2dae5f394000005d2dae5f3a4000005d2dae5f3b4000005d2dae5f3c4000005d2dae5f3d4000005d2dae5f3e4000005d2dae5f3f400080ae16d72f40400080ae16d7af40400080ae16d72f41400080ae16d7af4140', 0.25, 0.25, 0.25, 0.25, '["warning of 5fae"]');
INSERT INTO public.results VALUES ('cc5028ce7660c8de275e141f534768a3', 1, 1, 1795412099.045056, 183, 'm-3m', 0.01, false, NULL, 1, NULL, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, true, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, true, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 79.80981352739036, 'uniaxial', '\x0000c019058ae93f0000e08c02c5fc3f00007046816206400000704681620e40000038a340311340000038a340311740000038a340311b40000038a340311f4000009c51a0982140', '\x0000c019058ae93f0000e08c02c5fc3f00007046816206400000704681620e40000038a340311340000038a340311740000038a340311b40000038a340311f4000009c51a0982140', '\x0000c019058ae93f0000e08c02c5fc3f00007046816206400000704681620e40000038a340311340000038a340311740000038a340311b40000038a340311f4000009c51a098214000009c51a098234000009c51a098254000009c51a098274000009c51a098294000009c51a0982b4000009c51a0982d4000009c51a0982f400000ce2850cc30400000ce2850cc31400000ce2850cc32400000ce2850cc33400000ce2850cc34400000ce2850cc35400000ce2850cc36400000ce2850cc37400000ce2850cc38400000ce2850cc39400000ce2850cc3a40', '\x0000c019058ae93f0000e08c02c5fc3f00007046816206400000704681620e40000038a340311340000038a340311740000038a340311b40000038a340311f4000009c51a098214000009c51a098234000009c51a098254000009c51a098274000009c51a098294000009c51a0982b4000009c51a0982d4000009c51a0982f400000ce2850cc30400000ce2850cc31400000ce2850cc32400000ce2850cc33400000ce2850cc34400000ce2850cc35400000ce2850cc36400000ce2850cc37400000ce2850cc38400000ce2850cc39400000ce2850cc3a400000ce2850cc3b400000ce2850cc3c400000ce2850cc3d400000ce2850cc3e400000ce2850cc3f4000006714286640400000671428e6404000006714286641400000671428e64140', 0.25, 0.25, 0.25, 0.25, '["warning of cc50"]');
INSERT INTO public.runs VALUES (1, '75e6d642ffa6e14db939a3a2bd87430f7402577a84fe7b99386f10ea56bcf091', '["made"]', '["fingerprint of made"]', '{"symprec":0.01}', 1, 'running', 1795412097.364343, NULL, 0);
INSERT INTO public.shards VALUES (1, 1, 'pending', 0, 0, NULL, NULL, NULL, 1, 3);
INSERT INTO public.shards VALUES (1, 0, 'done', 1, 1, NULL, 1795412098.769254, 1795412099.045056, 3, 4);
SELECT pg_catalog.setval('public.models_id_seq', 1, true);
SELECT pg_catalog.setval('public.runs_id_seq', 1, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.crystals
    ADD CONSTRAINT pk_crystals PRIMARY KEY (id);
ALTER TABLE ONLY public.cursors
    ADD CONSTRAINT pk_cursors PRIMARY KEY (run_id, source_index);
ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT pk_inputs PRIMARY KEY (run_id, source_index, "position");
ALTER TABLE ONLY public.models
    ADD CONSTRAINT pk_models PRIMARY KEY (id);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT pk_results PRIMARY KEY (crystal_id, model_id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (id);
ALTER TABLE ONLY public.shards
    ADD CONSTRAINT pk_shards PRIMARY KEY (run_id, shard_id);
ALTER TABLE ONLY public.cursors
    ADD CONSTRAINT uq_cursors_run_id_source UNIQUE (run_id, source);
ALTER TABLE ONLY public.models
    ADD CONSTRAINT uq_models_name_version UNIQUE (name, version);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT uq_runs_key UNIQUE (key);
CREATE INDEX ix_crystals_formula ON public.crystals USING btree (formula);
CREATE INDEX ix_inputs_crystal_id_run_id ON public.inputs USING btree (crystal_id, run_id);
CREATE INDEX ix_inputs_run_id_shard_id_slot ON public.inputs USING btree (run_id, shard_id, slot);
CREATE INDEX ix_inputs_source_id ON public.inputs USING btree (source_id);
CREATE INDEX ix_results_d_max_pc_per_n ON public.results USING btree (d_max_pc_per_n);
CREATE INDEX ix_results_e_max_c_per_m2 ON public.results USING btree (e_max_c_per_m2);
CREATE INDEX ix_results_eps_total_mean ON public.results USING btree (eps_total_mean);
CREATE INDEX ix_results_g_vrh_gpa ON public.results USING btree (g_vrh_gpa);
CREATE INDEX ix_results_k_vrh_gpa ON public.results USING btree (k_vrh_gpa);
CREATE INDEX ix_results_spacegroup ON public.results USING btree (spacegroup);
CREATE INDEX ix_shards_run_id_state_shard_id ON public.shards USING btree (run_id, state, shard_id);
ALTER TABLE ONLY public.cursors
    ADD CONSTRAINT fk_cursors_run_id_runs FOREIGN KEY (run_id) REFERENCES public.runs(id);
ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT fk_inputs_crystal_id_crystals FOREIGN KEY (crystal_id) REFERENCES public.crystals(id);
ALTER TABLE ONLY public.inputs
    ADD CONSTRAINT fk_inputs_run_id_source_index_cursors FOREIGN KEY (run_id, source_index) REFERENCES public.cursors(run_id, source_index);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_crystal_id_crystals FOREIGN KEY (crystal_id) REFERENCES public.crystals(id);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.results
    ADD CONSTRAINT fk_results_run_id_runs FOREIGN KEY (run_id) REFERENCES public.runs(id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_model_id_models FOREIGN KEY (model_id) REFERENCES public.models(id);
ALTER TABLE ONLY public.shards
    ADD CONSTRAINT fk_shards_run_id_runs FOREIGN KEY (run_id) REFERENCES public.runs(id);
