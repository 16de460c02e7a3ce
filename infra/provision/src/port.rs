//! Choosing ports. Ours lie below the range the system gives to outgoing connections, so that a server killed and
//! started again finds its port free.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Result, secret::random_hex};

const LOWEST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Whether a server could listen on `port` now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A free port on loopback. Somebody may take it before the server does; the caller tries another then.
pub(crate) fn choose() -> Result<u16> {
    for _ in 0..64 {
        let random = u32::from_str_radix(&random_hex(3)?, 16).unwrap_or_default();
        let port = u16::try_from(LOWEST + random % COUNT).unwrap_or(u16::MAX);
        if is_free(port) {
            return Ok(port);
        }
    }
    // The range is crowded: let the system choose.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(crate::Error::io("find a free port on", "127.0.0.1"))?;
    Ok(listener.local_addr().map_err(crate::Error::io("find a free port on", "127.0.0.1"))?.port())
}
