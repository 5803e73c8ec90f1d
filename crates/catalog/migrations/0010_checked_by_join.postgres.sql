-- Why: PostgreSQL locks the face and the image that each of ten million rows refers to, and writes each lock down: two thirds of
-- the time that recording a release takes. Rows of both tables come from statements that join with `face`, no face and no
-- image is ever deleted, and SQLite, which locks no rows, keeps its constraints.

alter table release_item drop constraint release_item_face_id_fkey, drop constraint release_item_image_id_fkey;
alter table consensus drop constraint consensus_face_id_fkey;
