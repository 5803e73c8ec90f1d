//! What makes the labels of a challenge readable, and to whom? A key in a file outside project and database.

use std::path::Path;

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::ChallengeError;

/// 256 bits that only the scoring process has. What is secret about a challenge follows from them.
pub struct ChallengeKey([u8; 32]);

/// Longest key file, bytes: 64 digits and a line end.
const FILE_BYTES: u64 = 80;

impl ChallengeKey {
    /// From random bits.
    pub fn new(bits: [u8; 32]) -> Self {
        Self(bits)
    }

    /// The text of a key file: 64 hexadecimal digits.
    pub fn to_text(&self) -> String {
        format!("{}\n", hex::encode(self.0))
    }

    /// Reads a key file, which nobody but its owner may read, and which must not lie in the project: whoever copies a
    /// project, or has its database, must not have the key with it.
    ///
    /// # Errors
    /// [`ChallengeError::Key`], which says what to do.
    pub fn read(file: &Path, project: &Path) -> Result<Self, ChallengeError> {
        let bad = |reason: &str| ChallengeError::Key { path: file.to_owned(), reason: reason.to_owned() };
        let failed = |error: std::io::Error| bad(&error.to_string());
        let place = file.canonicalize().map_err(failed)?;
        if project.canonicalize().is_ok_and(|project| place.starts_with(project)) {
            return Err(bad("it lies in the project's folder: move it to a place that is not copied with the project"));
        }
        let about = std::fs::metadata(&place).map_err(failed)?;
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0 {
            return Err(bad("others may read it: `chmod 600` it"));
        }
        if about.len() > FILE_BYTES {
            return Err(bad("it is no key: 64 hexadecimal digits, as `affectory challenge key` writes them"));
        }
        let text = std::fs::read_to_string(&place).map_err(failed)?;
        let mut bits = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bits)
            .map_err(|_| bad("it is no key: 64 hexadecimal digits, as `affectory challenge key` writes them"))?;
        Ok(Self(bits))
    }

    /// A key of its own for each purpose and challenge: HMAC-SHA256 of both under this one, which is one step of HKDF's
    /// expansion (RFC 5869).
    pub(super) fn derive(&self, purpose: &str, challenge: &str) -> [u8; 32] {
        self.mac(&[b"affectory challenge 1", purpose.as_bytes(), challenge.as_bytes()])
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        keyed_hash(&self.0, parts)
    }
}

impl std::fmt::Debug for ChallengeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChallengeKey(..)")
    }
}

/// HMAC-SHA256 of parts, each preceded by its length, so that no two lists of parts read alike.
pub(super) fn keyed_hash(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // Lint-free on purpose: HMAC takes keys of any length, so this arm is never taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_only_where_nobody_else_can_and_outside_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        std::fs::create_dir(&project).unwrap();
        let key = ChallengeKey::new([7; 32]);
        let write = |path: &Path, text: &str, mode: u32| {
            std::fs::write(path, text).unwrap();
            #[cfg(unix)]
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        let outside = folder.path().join("key");
        write(&outside, &key.to_text(), 0o600);
        assert_eq!(ChallengeKey::read(&outside, &project).unwrap().0, key.0);
        let told = |path: &Path| ChallengeKey::read(path, &project).unwrap_err().to_string();
        write(&project.join("key"), &key.to_text(), 0o600);
        assert!(told(&project.join("key")).contains("in the project's folder"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(project.join("key"), folder.path().join("link")).unwrap();
            assert!(told(&folder.path().join("link")).contains("in the project's folder"));
            write(&outside, &key.to_text(), 0o640);
            assert!(told(&outside).contains("chmod 600"));
        }
        write(&outside, "secret words", 0o600);
        let told = told(&outside);
        assert!(told.contains("64 hexadecimal digits") && !told.contains("secret words"), "{told}");
        assert_eq!(format!("{key:?}"), "ChallengeKey(..)");
    }
}
