//! What a personal access token looks like: a prefix by which scanners of leaked secrets know it, 256 random bits, and a
//! checksum, so that one that is none of ours is refused without anybody being asked.
//!
//! `petty_pat_`, 43 digits of base 62, and the CRC-32 of all before it in 6 more: what GitHub's own tokens are made like. No
//! service takes one: the gateway exchanges it at auth for an access token.

use secrecy::SecretString;

use crate::types::Entropy;

/// How each begins.
pub const PREFIX: &str = "petty_pat_";
/// The digits of 256 bits, and of a CRC-32: 62^43 > 2^256, 62^6 > 2^32.
const RANDOM: usize = 43;
const CHECKSUM: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new one.
#[must_use]
pub fn generate(entropy: Entropy) -> SecretString {
    let random = base62(&entropy.bytes::<32>(), RANDOM);
    let text = format!("{PREFIX}{random}");
    let checksum = base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM);
    SecretString::from(text + &checksum)
}

/// Whether a text may be one: prefix, length and checksum are right.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let length = PREFIX.len() + RANDOM + CHECKSUM;
    if !text.starts_with(PREFIX) || text.len() != length || !text.is_ascii() {
        return false;
    }
    let (body, checksum) = text.split_at(length - CHECKSUM);
    let digits = body.bytes().skip(PREFIX.len()).all(|byte| byte.is_ascii_alphanumeric());
    digits && base62(&crc32fast::hash(body.as_bytes()).to_be_bytes(), CHECKSUM) == checksum
}

/// A big-endian number in so many digits.
fn base62(number: &[u8], digits: usize) -> String {
    let mut number = number.to_vec();
    let mut text: Vec<u8> = (0..digits)
        .map(|_| {
            let mut rest = 0_u32;
            for byte in &mut number {
                let part = (rest << 8) | u32::from(*byte);
                // Below 62 * 256 / 62: it fits.
                *byte = u8::try_from(part / 62).unwrap_or(u8::MAX);
                rest = part % 62;
            }
            DIGITS.get(rest as usize).copied().unwrap_or(b'0')
        })
        .collect();
    text.reverse();
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        assert_eq!(base62(&[0, 0, 0, 0], 6), "000000");
        assert_eq!(base62(&[0, 0, 0, 61], 6), "00000z");
        assert_eq!(base62(&[0, 0, 0, 62], 6), "000010");
        // 4,294,967,295 = 4·62^5 + 42·62^4 + 41·62^3 + 15·62^2 + 12·62 + 3: "4gfFC3".
        assert_eq!(base62(&[255; 4], 6), "4gfFC3");
        assert_eq!(base62(&[255; 32], RANDOM).len(), 43);
        // Were 43 digits too few, the greatest number would read like a smaller one.
        assert_ne!(base62(&[255; 32], RANDOM), base62(&[255; 32], RANDOM + 1)[..RANDOM]);
        assert!(base62(&[255; 32], RANDOM + 1).starts_with('0'));
    }

    #[test]
    fn each_is_another_and_none_survives_a_slip() {
        let (one, other) = (generate(Entropy), generate(Entropy));
        let (one, other) = (one.expose_secret(), other.expose_secret());
        assert_ne!(one, other);
        assert!(is_well_formed(one) && is_well_formed(other));
        assert_eq!(one.len(), 59);
        for index in 0..one.len() {
            let mut bytes = one.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'x' { b'y' } else { b'x' };
            assert!(!is_well_formed(std::str::from_utf8(&bytes).unwrap()), "{index}");
            assert!(!is_well_formed(&one[..index]));
        }
        assert!(!is_well_formed(&format!("{one}0")) && !is_well_formed(&format!(" {one}")));
        assert!(!is_well_formed(&format!("petty_pat_{}", "é".repeat(25))));
    }
}
