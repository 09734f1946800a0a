#!/bin/sh
# Dumps the database $PGDATABASE into $BACKUPS as NAME-TIME.dump and removes dumps older than $KEEP_DAYS days.
# A dump has its name only when it is whole and can be read; the newest is kept whatever its age.
#
#   PGHOST=postgres PGUSER=gmtscreen PGDATABASE=gmtscreen PGPASSWORD=... BACKUPS=/backups backup.sh
set -eu
: "${PGDATABASE:?name the database}" "${BACKUPS:?name the folder of the dumps}"
dump="$BACKUPS/$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump"
trap 'rm -f "$dump.part"' EXIT
pg_dump --no-password --format=custom --file="$dump.part"
pg_restore --list "$dump.part" >/dev/null
mv "$dump.part" "$dump"
find "$BACKUPS" -name "$PGDATABASE-*.dump" ! -path "$dump" -mtime "+${KEEP_DAYS:-14}" -exec rm -f {} +
echo "$dump: $(wc -c <"$dump") bytes"
