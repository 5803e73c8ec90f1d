-- Why: what is agreed on a face is looked for by the face, so one index does for what two did, and a number is compared before a
-- text. Each index was a tenth of the time that recording ten million rows takes, and the constraint on the run a twentieth,
-- though most rows name none. A run is recorded before its rows, and none is ever deleted.

alter table consensus drop constraint consensus_pkey, add primary key (face_id, method),
    drop constraint consensus_run_id_fkey;
drop index consensus_of_face;
