//! The codes that an authenticator shows (RFC 6238: SHA-1, six digits, 30 s).

use aws_lc_rs::hmac;
use petty_chassis::types::Clock;

/// The code of a secret in base32, so many steps from now.
///
/// # Panics
/// Where the secret is none.
#[must_use]
pub fn code(secret: &str, steps: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &base32(secret));
    let step = Clock::system().now().as_second() / 30 + steps;
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag[tag.len() - 1] & 15);
    let bytes: [u8; 4] = tag[offset..offset + 4].try_into().expect("four bytes");
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}

fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter);
        bits = (bits << 5) | u32::try_from(value.expect("base32")).expect("five bits");
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).expect("a byte"));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_as_rfc_4648_has_it() {
        assert_eq!(base32("MZXW6YTBOI"), b"foobar");
        assert_eq!(base32("MZXW6==="), b"foo");
    }
}
