-- Why: whoever looks for doubtful faces asks every few seconds of what a model is sure. That went through all faces of all pools,
-- on PostgreSQL with every core, and a hundred annotators waited.
create index pool_face_sure on pool_face (confidence) where confidence is not null;
