--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: allocations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.allocations (
    host text NOT NULL,
    port integer NOT NULL,
    instance_id text NOT NULL,
    name text NOT NULL
);


--
-- Name: bindings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.bindings (
    instance_id text NOT NULL,
    id text NOT NULL,
    name text,
    requested_by text NOT NULL,
    context jsonb NOT NULL,
    state text NOT NULL,
    username text NOT NULL,
    password_sealed text,
    parameters_sealed text,
    credentials_sealed text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: instances; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.instances (
    id text NOT NULL,
    name text,
    platform text,
    organization text NOT NULL,
    space text NOT NULL,
    requested_by text NOT NULL,
    context jsonb NOT NULL,
    service_id text NOT NULL,
    service_name text NOT NULL,
    plan_id text NOT NULL,
    plan_name text NOT NULL,
    plan_snapshot jsonb NOT NULL,
    role text NOT NULL,
    role_version text NOT NULL,
    mode text NOT NULL,
    state text NOT NULL,
    names jsonb NOT NULL,
    placement jsonb NOT NULL,
    ports jsonb NOT NULL,
    connection jsonb NOT NULL,
    dashboard_url text,
    parameters_sealed text,
    secrets_sealed text,
    outputs_sealed text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: operation_epoch; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.operation_epoch
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: operations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.operations (
    id text NOT NULL,
    sequence bigint NOT NULL,
    kind text NOT NULL,
    instance_id text NOT NULL,
    instance_name text,
    binding_id text,
    requested_by text NOT NULL,
    state text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    error text DEFAULT ''::text NOT NULL,
    request_sealed text,
    waits_for text,
    epoch bigint DEFAULT '0'::bigint NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    lease_owner text,
    lease_until timestamp with time zone,
    cancel_requested boolean DEFAULT false NOT NULL,
    due_at timestamp with time zone DEFAULT now() NOT NULL,
    deadline_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone
);


--
-- Name: operations_sequence_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.operations ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.operations_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: progress; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.progress (
    operation_id text NOT NULL,
    sequence bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    text text NOT NULL
);


--
-- Name: progress_sequence_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.progress ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.progress_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: reservations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservations (
    instance_id text NOT NULL,
    copy integer NOT NULL,
    place text NOT NULL,
    memory_gb double precision NOT NULL
);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0002');


--
-- Data for Name: allocations; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: bindings; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.bindings VALUES ('6167c681-7848-4cfd-987f-fdec26a35f48', 'c7f7fd7f-b65b-4e0b-926d-d2d499d52820', 'app', 'admin', '{"platform": "apb", "binding_name": "app"}', 'ready', 'b8ab5405e44dc', 'key-1:W3v5W9Xe44JsrBGmoh0okj5OM/hJpNwReIZRtR2zMwRmpesJrgUywFn/A6zr6Rxz74Z50CnbRMcPJp7xBu0=', 'key-1:GTM8AVlSBXkeN87p2xWeLmXyUZvVAK0AhXEup9L1e6FaWCuHrG2c+p4l17O2d94DbgI=', 'key-1:bYOvFKFC65wdYNdJNkUJWYGzLMSCq+jrYWHsU95Nsm0UnnB45Lj3Q4hCxeVmLrDeCakeXgCATYGS2Z/bSIiuJF/SISjyMs/EnSTA4CqduRO0UHxh3KwPPVU7ym2pPImaYsNLPtK1t6flvLxKlx2tIh/OJTKcInQRbtnOILc1dbtNrTeqQn1PkCSV5Wy4hzp8ONBU6rnMvsru2RhIkqI+6weN44OzwIgpI2QNbQQ0QTxT4Mp6sKCheUugIPgI7XLg6LHKeo49J6jV+kO6LIogVEs9nppZ9RDhTCjFrBzG+ZZ/Iclsdd4nOvBwK5k1ia0M1WJQjuJSlA6me9oSHVJd1VBz798Hol4=', '2026-11-26 21:40:08.21474+00', '2026-11-26 21:40:19.284611+00');


--
-- Data for Name: instances; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.instances VALUES ('6167c681-7848-4cfd-987f-fdec26a35f48', 'bound', 'apb', 'apb', 'default', 'admin', '{"platform": "apb", "instance_name": "bound"}', 'e613f7f5-a211-4a59-b5ac-c67788a997b8', 'redis', '2a7d2d68-b10a-4ebf-a476-acb1c5be76bc', 'redis-tenant', '{"id": "2a7d2d68-b10a-4ebf-a476-acb1c5be76bc", "apb": 1, "free": true, "late": [], "name": "redis-tenant", "role": "apb.catalog.redis", "fixed": {}, "needs": {}, "secrets": {}, "tenancy": "shared", "version": "0.1.0", "bindable": true, "metadata": {"bullets": [{"en": "Keys and channels that begin with a prefix of your own; nobody else can read or write them", "zh": "键与频道以专属前缀开头，其他租户无法读写"}, {"en": "Memory is shared with others, without a limit for each", "zh": "内存与其他租户共用，不按租户限制"}, {"en": "No scripts and no commands that concern the whole server", "zh": "不支持脚本及影响整个服务器的命令"}], "displayName": {"en": "Tenant", "zh": "租户版"}}, "rotatable": true, "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}", "dns_name": "{{ parameters.host | default(none) }}", "key_prefix": "{{ instance.names.prefix }}"}, "parameters": {}, "service_id": "e613f7f5-a211-4a59-b5ac-c67788a997b8", "updates_to": [], "credentials": {"allOf": [{"type": "object", "required": ["type", "host", "port", "username", "password", "uri"], "properties": {"uri": {"type": "string", "pattern": "^rediss?://[^:@/]+:[^:@/]+@[^@/]+:[0-9]+$"}, "host": {"type": "string", "minLength": 1}, "port": {"type": "integer", "maximum": 65535, "minimum": 1}, "type": {"const": "redis"}, "dns_name": {"type": "string", "minLength": 1}, "password": {"type": "string", "minLength": 8}, "username": {"type": "string", "minLength": 1}, "key_prefix": {"type": "string", "minLength": 1}}, "additionalProperties": false}, {"required": ["key_prefix"]}]}, "description": {"en": "A share of a server that others use too, limited to keys of your own", "zh": "共享服务器上的一份，仅限访问自己的键"}, "maintenance": {"version": "1.0.0", "description": {"en": "First version", "zh": "首个版本"}}, "service_name": "redis", "service_type": "redis", "bind_parameters": {"access": {"enum": ["readwrite", "read"], "type": "string", "title": {"en": "Access", "zh": "权限"}, "default": "readwrite", "description": {"en": "What this binding''s account may do", "zh": "该绑定账号的权限"}}}}', 'apb.catalog.redis', '0.1.0', 'shared', 'ready', '{"slug": "redis-0b7979f83f83", "prefix": "redis-0b7979f83f83:", "database": "redis_0b7979f83f83"}', '{"host": "localhost", "target": "shared", "address": "127.0.0.1"}', '{"client": 16002}', '{"host": "127.0.0.1", "port": 16002, "key_prefix": "redis-0b7979f83f83:"}', NULL, 'key-1:ilmqfcciuR8hWuMlwbo5PDX9qtZMqYss13got94I', 'key-1:xqhGX6zOo+FJoBVNWQu9ePD8lvqKFUBuqOsiIc9y', 'key-1:eDfY2nJkW9ebsdVthse/LVmFbBNJMCGvEymPs6W+', '2026-11-26 21:39:31.624694+00', '2026-11-26 21:39:44.939963+00');
INSERT INTO public.instances VALUES ('dd0467a7-af69-4948-bd81-82c0c58fa318', 'unbound', 'apb', 'apb', 'default', 'admin', '{"platform": "apb", "instance_name": "unbound"}', 'e613f7f5-a211-4a59-b5ac-c67788a997b8', 'redis', '2a7d2d68-b10a-4ebf-a476-acb1c5be76bc', 'redis-tenant', '{"id": "2a7d2d68-b10a-4ebf-a476-acb1c5be76bc", "apb": 1, "free": true, "late": [], "name": "redis-tenant", "role": "apb.catalog.redis", "fixed": {}, "needs": {}, "secrets": {}, "tenancy": "shared", "version": "0.1.0", "bindable": true, "metadata": {"bullets": [{"en": "Keys and channels that begin with a prefix of your own; nobody else can read or write them", "zh": "键与频道以专属前缀开头，其他租户无法读写"}, {"en": "Memory is shared with others, without a limit for each", "zh": "内存与其他租户共用，不按租户限制"}, {"en": "No scripts and no commands that concern the whole server", "zh": "不支持脚本及影响整个服务器的命令"}], "displayName": {"en": "Tenant", "zh": "租户版"}}, "rotatable": true, "connection": {"host": "{{ instance.host }}", "port": "{{ instance.ports.client }}", "dns_name": "{{ parameters.host | default(none) }}", "key_prefix": "{{ instance.names.prefix }}"}, "parameters": {}, "service_id": "e613f7f5-a211-4a59-b5ac-c67788a997b8", "updates_to": [], "credentials": {"allOf": [{"type": "object", "required": ["type", "host", "port", "username", "password", "uri"], "properties": {"uri": {"type": "string", "pattern": "^rediss?://[^:@/]+:[^:@/]+@[^@/]+:[0-9]+$"}, "host": {"type": "string", "minLength": 1}, "port": {"type": "integer", "maximum": 65535, "minimum": 1}, "type": {"const": "redis"}, "dns_name": {"type": "string", "minLength": 1}, "password": {"type": "string", "minLength": 8}, "username": {"type": "string", "minLength": 1}, "key_prefix": {"type": "string", "minLength": 1}}, "additionalProperties": false}, {"required": ["key_prefix"]}]}, "description": {"en": "A share of a server that others use too, limited to keys of your own", "zh": "共享服务器上的一份，仅限访问自己的键"}, "maintenance": {"version": "1.0.0", "description": {"en": "First version", "zh": "首个版本"}}, "service_name": "redis", "service_type": "redis", "bind_parameters": {"access": {"enum": ["readwrite", "read"], "type": "string", "title": {"en": "Access", "zh": "权限"}, "default": "readwrite", "description": {"en": "What this binding''s account may do", "zh": "该绑定账号的权限"}}}}', 'apb.catalog.redis', '0.1.0', 'shared', 'ready', '{"slug": "redis-ed4dcdc15afe", "prefix": "redis-ed4dcdc15afe:", "database": "redis_ed4dcdc15afe"}', '{"host": "localhost", "target": "shared", "address": "127.0.0.1"}', '{"client": 16002}', '{"host": "127.0.0.1", "port": 16002, "key_prefix": "redis-ed4dcdc15afe:"}', NULL, 'key-1:DlwI0+eoq738jsfasUyMRIirjuuDajkMQhdKT6uU', 'key-1:DSLUOuNGuWv5wD7h8iL5HPi/VpmaxEto/ZbDOP2l', 'key-1:dqElTp+gF/x3Y4+ZJOVHo9rC+oO7PaQ8DCjfgr9K', '2026-11-26 21:39:50.143325+00', '2026-11-26 21:40:04.11837+00');


--
-- Data for Name: operations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.operations OVERRIDING SYSTEM VALUE VALUES ('484fda4d-3e7c-4cca-be2d-1d25863bd29d', 3, 'bind', '6167c681-7848-4cfd-987f-fdec26a35f48', 'bound', 'c7f7fd7f-b65b-4e0b-926d-d2d499d52820', 'admin', 'succeeded', 'Hand over the credentials', '', NULL, NULL, 1795729136743, 1, NULL, NULL, false, '2026-11-26 21:40:08.21474+00', '2026-11-26 22:10:08.307113+00', '2026-11-26 21:40:08.21474+00', '2026-11-26 21:40:08.488665+00', '2026-11-26 21:40:19.284611+00');
INSERT INTO public.operations OVERRIDING SYSTEM VALUE VALUES ('479d8b6d-cb04-43d2-852a-fdee7ed303e0', 1, 'provision', '6167c681-7848-4cfd-987f-fdec26a35f48', 'bound', NULL, 'admin', 'succeeded', 'Give each account its rights', '', NULL, NULL, 1795729136741, 1, NULL, NULL, false, '2026-11-26 21:39:31.624694+00', '2026-11-26 22:09:31.770601+00', '2026-11-26 21:39:31.624694+00', '2026-11-26 21:39:31.917894+00', '2026-11-26 21:39:44.939963+00');
INSERT INTO public.operations OVERRIDING SYSTEM VALUE VALUES ('36699c54-417e-4d98-9b5b-e2d7e433a0c3', 2, 'provision', 'dd0467a7-af69-4948-bd81-82c0c58fa318', 'unbound', NULL, 'admin', 'succeeded', 'Give each account its rights', '', NULL, NULL, 1795729136742, 1, NULL, NULL, false, '2026-11-26 21:39:50.143325+00', '2026-11-26 22:09:50.182773+00', '2026-11-26 21:39:50.143325+00', '2026-11-26 21:39:50.371507+00', '2026-11-26 21:40:04.11837+00');


--
-- Data for Name: progress; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('479d8b6d-cb04-43d2-852a-fdee7ed303e0', 1, '2026-11-26 21:39:31.826626+00', 'provision accepted');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('479d8b6d-cb04-43d2-852a-fdee7ed303e0', 2, '2026-11-26 21:39:39.872124+00', 'Check that the server can be shared');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('479d8b6d-cb04-43d2-852a-fdee7ed303e0', 3, '2026-11-26 21:39:41.252915+00', 'Give each account its rights');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('479d8b6d-cb04-43d2-852a-fdee7ed303e0', 4, '2026-11-26 21:39:45.058561+00', 'succeeded');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('36699c54-417e-4d98-9b5b-e2d7e433a0c3', 5, '2026-11-26 21:39:50.215511+00', 'provision accepted');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('36699c54-417e-4d98-9b5b-e2d7e433a0c3', 6, '2026-11-26 21:39:59.648003+00', 'Check that the server can be shared');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('36699c54-417e-4d98-9b5b-e2d7e433a0c3', 7, '2026-11-26 21:40:01.181235+00', 'Give each account its rights');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('36699c54-417e-4d98-9b5b-e2d7e433a0c3', 8, '2026-11-26 21:40:04.183725+00', 'succeeded');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('484fda4d-3e7c-4cca-be2d-1d25863bd29d', 9, '2026-11-26 21:40:08.340767+00', 'bind accepted');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('484fda4d-3e7c-4cca-be2d-1d25863bd29d', 10, '2026-11-26 21:40:15.51824+00', 'Make an account');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('484fda4d-3e7c-4cca-be2d-1d25863bd29d', 11, '2026-11-26 21:40:16.944315+00', 'Hand over the credentials');
INSERT INTO public.progress OVERRIDING SYSTEM VALUE VALUES ('484fda4d-3e7c-4cca-be2d-1d25863bd29d', 12, '2026-11-26 21:40:19.367656+00', 'succeeded');


--
-- Data for Name: reservations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.reservations VALUES ('6167c681-7848-4cfd-987f-fdec26a35f48', 0, '127.0.0.1:16002', 0);
INSERT INTO public.reservations VALUES ('dd0467a7-af69-4948-bd81-82c0c58fa318', 0, '127.0.0.1:16002', 0);


--
-- Name: operation_epoch; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.operation_epoch', 1795729136743, true);


--
-- Name: operations_sequence_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.operations_sequence_seq', 3, true);


--
-- Name: progress_sequence_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.progress_sequence_seq', 12, true);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: allocations allocations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT allocations_pkey PRIMARY KEY (host, port);


--
-- Name: bindings bindings_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.bindings
    ADD CONSTRAINT bindings_pkey PRIMARY KEY (instance_id, id);


--
-- Name: instances instances_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.instances
    ADD CONSTRAINT instances_pkey PRIMARY KEY (id);


--
-- Name: operations operations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.operations
    ADD CONSTRAINT operations_pkey PRIMARY KEY (id);


--
-- Name: operations operations_sequence_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.operations
    ADD CONSTRAINT operations_sequence_key UNIQUE (sequence);


--
-- Name: progress progress_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (operation_id, sequence);


--
-- Name: reservations reservations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_pkey PRIMARY KEY (instance_id, copy);


--
-- Name: allocations_instance; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX allocations_instance ON public.allocations USING btree (instance_id);


--
-- Name: instances_name; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX instances_name ON public.instances USING btree (organization, space, name) WHERE (platform = 'apb'::text);


--
-- Name: instances_space; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX instances_space ON public.instances USING btree (space, name);


--
-- Name: operations_claim; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX operations_claim ON public.operations USING btree (sequence) WHERE (state = 'queued'::text);


--
-- Name: operations_leases; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX operations_leases ON public.operations USING btree (lease_until) WHERE (state = 'running'::text);


--
-- Name: operations_subject; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX operations_subject ON public.operations USING btree (instance_id, binding_id, sequence);


--
-- Name: reservations_place; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reservations_place ON public.reservations USING btree (place);


--
-- Name: allocations allocations_instance_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.allocations
    ADD CONSTRAINT allocations_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id) ON DELETE CASCADE;


--
-- Name: bindings bindings_instance_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.bindings
    ADD CONSTRAINT bindings_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id) ON DELETE CASCADE;


--
-- Name: progress progress_operation_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.progress
    ADD CONSTRAINT progress_operation_id_fkey FOREIGN KEY (operation_id) REFERENCES public.operations(id) ON DELETE CASCADE;


--
-- Name: reservations reservations_instance_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservations
    ADD CONSTRAINT reservations_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES public.instances(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


