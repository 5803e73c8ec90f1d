#!/bin/sh
# Makes the account and the database of Affectory when PostgreSQL starts on an empty volume; never again after that.
# The account owns the database and needs nothing else (docs/postgresql.md).
set -eu
psql --set ON_ERROR_STOP=1 --set password="$AFFECTORY_PASSWORD" --username postgres <<'SQL'
create role affectory login password :'password';
create database faces owner affectory encoding 'UTF8';
SQL
