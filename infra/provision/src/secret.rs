//! Random names and passwords. This crate stands below the chassis, so it reads the system's generator itself.

use std::io::Read;

use crate::{Error, Result};

/// `bytes` random bytes as lower-case hex: safe in a URL, an SQL literal and a file name without escaping.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut buffer))
        .map_err(Error::io("read random bytes from", "/dev/urandom"))?;
    Ok(hex::encode(buffer))
}
