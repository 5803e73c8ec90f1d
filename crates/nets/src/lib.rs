//! Networks and their weights: pixels or tensors in, numbers out.
//!
//! Detection (MTCNN), 68 landmarks, and the backbones that `learn` trains. The weights under
//! `assets/` are embedded in the binary; each has its origin, licence and SHA-256 beside it.
//! This crate knows nothing of files, databases or training.
