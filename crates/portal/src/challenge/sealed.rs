//! How do hidden labels lie on a disk, so that only the scoring process reads them?
//!
//! `labels.sealed` is a header (magic, version), a nonce of 24 bytes, and XChaCha20-Poly1305 of the labels' CSV under a
//! key of this challenge's own, with header and name as associated data. The CSV is preceded by its length and padded to
//! a multiple of 4 KiB: of the labels the file's size says hardly more than the number of images, which is public.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

use super::ChallengeError;
use super::key::ChallengeKey;

/// Magic and version.
const HEADER: &[u8; 20] = b"affectory sealed 01\n";

/// Bytes of a nonce.
const NONCE: usize = 24;

/// What the plaintext is padded to, bytes.
const PAGE: usize = 4096;

/// Seals labels. A nonce must never be used twice with one key: it is random, and of 192 bits.
///
/// # Errors
/// [`ChallengeError::Sealing`] for more than the cipher takes (256 GiB).
pub fn seal(labels: &[u8], challenge: &str, key: &ChallengeKey, nonce: [u8; NONCE]) -> Result<Vec<u8>, ChallengeError> {
    let mut plain = Vec::with_capacity((labels.len() + 8).next_multiple_of(PAGE));
    plain.extend((labels.len() as u64).to_le_bytes());
    plain.extend(labels);
    plain.resize(plain.len().next_multiple_of(PAGE), 0);
    let payload = Payload { msg: &plain, aad: &associated(challenge) };
    let sealed = cipher(challenge, key).encrypt(XNonce::from_slice(&nonce), payload);
    Ok([HEADER.as_slice(), &nonce, &sealed.map_err(|_| ChallengeError::Sealing)?].concat())
}

/// Opens what [`seal`] made.
///
/// # Errors
/// [`ChallengeError::Unsealing`]: another key, another challenge's labels, or a file that was changed. Which of these,
/// nobody can tell.
pub fn unseal(sealed: &[u8], challenge: &str, key: &ChallengeKey) -> Result<Vec<u8>, ChallengeError> {
    let broken = || ChallengeError::Unsealing(challenge.to_owned());
    let rest = sealed.strip_prefix(HEADER).ok_or_else(broken)?;
    let (nonce, msg) = rest.split_at_checked(NONCE).ok_or_else(broken)?;
    let payload = Payload { msg, aad: &associated(challenge) };
    let plain = cipher(challenge, key).decrypt(XNonce::from_slice(nonce), payload).map_err(|_| broken())?;
    let (length, rest) = plain.split_first_chunk::<8>().ok_or_else(broken)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| broken())?;
    Ok(rest.get(..length).ok_or_else(broken)?.to_vec())
}

fn cipher(challenge: &str, key: &ChallengeKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&key.derive("labels", challenge).into())
}

fn associated(challenge: &str) -> Vec<u8> {
    [HEADER.as_slice(), challenge.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_another_key_and_another_name_are_refused() {
        let key = ChallengeKey::new([1; 32]);
        let labels = b"image,expression\na.png,happy\n";
        let sealed = seal(labels, "c", &key, [2; 24]).unwrap();
        assert_eq!(unseal(&sealed, "c", &key).unwrap(), labels);
        assert!(!sealed.windows(5).any(|part| part == b"happy" || part == b"a.png"));
        assert!(unseal(&sealed, "d", &key).is_err());
        assert!(unseal(&sealed, "c", &ChallengeKey::new([3; 32])).is_err());
        for place in (0..60).chain([2000, sealed.len() - 1]) {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            let told = unseal(&changed, "c", &key).unwrap_err().to_string();
            assert!(told.contains("`c`") && !told.contains("happy"), "{told}");
        }
        for length in 0..60 {
            assert!(unseal(&sealed[..length], "c", &key).is_err(), "cut to {length} bytes");
        }
    }

    #[test]
    fn the_size_says_only_how_many_pages_it_takes() {
        let key = ChallengeKey::new([1; 32]);
        let size = |n| seal(&vec![b'x'; n], "c", &key, [0; 24]).unwrap().len();
        assert_eq!(size(0), size(4088));
        assert_eq!(size(4089), size(8184));
        assert_eq!(size(8184) - size(0), 4096);
        let large = vec![b'y'; 70_000];
        assert_eq!(unseal(&seal(&large, "c", &key, [9; 24]).unwrap(), "c", &key).unwrap(), large);
    }
}
