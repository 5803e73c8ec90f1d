//! Which queries does a lab ask: emotion words, person words and templates of each language, expanded?
