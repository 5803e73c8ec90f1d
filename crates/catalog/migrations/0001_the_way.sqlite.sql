-- Why: annotations and audit entries are only ever added; the database itself refuses the rest.

create trigger annotation_keeps_rows before delete on annotation
begin select raise(abort, 'annotation is append-only'); end;
create trigger annotation_keeps_values before update on annotation
begin select raise(abort, 'annotation is append-only'); end;
create trigger audit_keeps_rows before delete on audit
begin select raise(abort, 'audit is append-only'); end;
create trigger audit_keeps_values before update on audit
begin select raise(abort, 'audit is append-only'); end;
