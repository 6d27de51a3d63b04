"""The event trigger of a tenant's database. Only a superuser can make it.

After each command of a tenant it gives to the owner role what an account made in its own name (poolers reset SET ROLE), so that all
accounts can change it; and it takes back extensions that the instance was not given. A plain CREATE EXTENSION IF NOT EXISTS of one that
is there does no harm: the trigger sees what was made, not what was said.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.apb.catalog.plugins.module_utils.postgresql_connection import Change, one, statement

NAME = "apb_after_ddl"

# Who may grant the owner role to others is no tenant: a superuser, or the account that made it.
BODY = """
BEGIN
  IF tg_tag = 'REASSIGN OWNED' OR pg_has_role(current_user, {owner}, 'USAGE WITH ADMIN OPTION') THEN
    RETURN;
  END IF;
  IF tg_tag = 'CREATE EXTENSION' AND EXISTS (SELECT FROM pg_event_trigger_ddl_commands()) THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = 'permission denied to create extension',
      HINT = 'The parameter "extensions" of the instance installs the extensions that this server offers.';
  END IF;
  IF current_user <> {owner} AND pg_has_role(current_user, {owner}, 'USAGE')
     AND EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp') THEN
    EXECUTE format('REASSIGN OWNED BY %I TO %I', current_user, {owner});
  END IF;
END
"""
FIND = """
SELECT p.prosrc FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid
WHERE t.evtname = %s AND t.evtevent = 'ddl_command_end' AND t.evtenabled = 'O' AND t.evttags IS NULL
  AND p.pronamespace = to_regnamespace('apb')
"""


def find_changes(connection, owner: str) -> Iterator[Change]:
    """What it takes to have the trigger. Schema apb is there by the time the statements run."""
    body = statement(BODY, owner=owner).as_string(connection)
    if one(connection, FIND, NAME) == body:
        return
    yield Change(
        "what keeps ownership and extensions in order is missing",
        (
            statement(
                "CREATE OR REPLACE FUNCTION apb.after_ddl() RETURNS event_trigger LANGUAGE plpgsql"
                " SET search_path = pg_catalog, pg_temp AS {body}",
                body=body,
            ),
            statement("DROP EVENT TRIGGER IF EXISTS {}", NAME),
            statement("CREATE EVENT TRIGGER {} ON ddl_command_end EXECUTE FUNCTION apb.after_ddl()", NAME),
        ),
    )
