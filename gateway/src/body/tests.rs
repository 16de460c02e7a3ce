use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;

use super::*;
use crate::config::Limits;

const BOUNDS: Bounds = Bounds { bytes: 1_000, time: Duration::from_secs(5) };

async fn status(headers: &[(&'static str, &'static str)], body: Vec<u8>) -> Result<usize, u16> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
    let room = Room::new(Limits::default());
    match read(&headers, Full::new(Bytes::from(body)), BOUNDS, false, room.of(None)).await {
        Ok((Content::Json(bytes) | Content::Form(bytes), _held)) => Ok(bytes.len()),
        Err(problem) => Err(problem.status.as_u16()),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn kinds_other_than_json_are_refused() {
    for (kind, answer) in [
        ("application/json", Ok(2)),
        ("Application/JSON; charset=UTF-8", Ok(2)),
        ("application/geo+json", Ok(2)),
        ("application/json; charset=latin1", Err(415)),
        ("text/plain", Err(415)),
        ("application/x-www-form-urlencoded", Err(415)),
        ("", Err(415)),
    ] {
        assert_eq!(status(&[("content-type", kind)], b"{}".to_vec()).await, answer, "{kind}");
    }
    assert_eq!(status(&[], b"{}".to_vec()).await, Err(415));
    assert_eq!(status(&[], Vec::new()).await, Ok(0), "nothing has no kind");
}

#[tokio::test]
async fn size_is_limited_as_sent_and_as_unpacked() {
    let json = ("content-type", "application/json");
    let packed = ("content-encoding", "gzip");
    assert_eq!(status(&[json], vec![b' '; 1_000]).await, Ok(1_000));
    assert_eq!(status(&[json], vec![b' '; 1_001]).await, Err(413));
    assert_eq!(status(&[json, ("content-length", "99999999999")], b"{}".to_vec()).await, Err(413));
    assert_eq!(status(&[json, packed], gzip(&[b' '; 1_000])).await, Ok(1_000));
    assert_eq!(status(&[json, packed], gzip(&[b' '; 1_001])).await, Err(413));
    assert_eq!(status(&[json, packed], gzip(&vec![0; 500_000])).await, Err(413));
    assert_eq!(status(&[json, packed], b"{}".to_vec()).await, Err(400));
    assert_eq!(status(&[json, ("content-encoding", "br")], b"{}".to_vec()).await, Err(415));
    assert_eq!(status(&[json, ("content-encoding", "identity")], b"{}".to_vec()).await, Ok(2));
}
