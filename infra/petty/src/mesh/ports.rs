//! Free ports on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::bail;

/// Below the range that systems give to outgoing connections, so that none of those takes a service's port while it
/// restarts; and below the servers' own ports (`petty_provision`), which are chosen while services' are still unbound.
const RANGE: std::ops::Range<u16> = 14_000..20_000;

/// A free address. It is not held: whoever takes it must be quick, or take another.
///
/// # Errors
/// Where none is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(997);
    for _ in 0..RANGE.len() {
        let offset =
            begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % u32::from(RANGE.end - RANGE.start);
        // Smaller than the range's length, which is a u16.
        let port = RANGE.start + u16::try_from(offset).unwrap_or(0);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between {} and {} is free on 127.0.0.1", RANGE.start, RANGE.end)
}
