//! The codes in docs/api.md beside those in the code.
//!
//! Codes are words beside a kind of failure, or in a call that means one: `ApiError::not_found("PET_NOT_FOUND", …)`. Those are
//! found in the text of every service and of the gateway, and each must be in the table with the status that it is told with. One
//! that reaches such a place as a variable is not seen. Of what the table has, each word must at least be somewhere in the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;

const API: &str = include_str!("../../../../docs/api.md");
/// Where the gateway says which codes of services it tells a client of.
const STATUS: &str = include_str!("../../../src/status.rs");

/// Codes that no client of the REST API is told, and why.
const NOT_TOLD: &[(&str, &str)] = &[
    ("SERVICE_UNKNOWN", "the gateway itself was refused, which is told as INTERNAL"),
    ("SERVICE_NOT_ALLOWED", "likewise"),
    ("DEAD_LETTER_NOT_FOUND", "an operator's call, which has no route"),
    ("KEY_NOT_CURRENT", "likewise"),
];

/// What HTTP makes of a kind of failure, be it named as in `ApiError`, as a status, or by the call that means it.
fn status(kind: &str) -> Option<u16> {
    Some(match kind {
        "InvalidArgument" | "OutOfRange" | "BAD_REQUEST" => 400,
        "Unauthenticated" | "UNAUTHORIZED" | "unauthenticated" => 401,
        "PermissionDenied" | "FORBIDDEN" => 403,
        "NotFound" | "NOT_FOUND" | "not_found" => 404,
        "METHOD_NOT_ALLOWED" => 405,
        "NOT_ACCEPTABLE" => 406,
        "REQUEST_TIMEOUT" => 408,
        "Conflict" | "CONFLICT" => 409,
        "PAYLOAD_TOO_LARGE" => 413,
        "UNSUPPORTED_MEDIA_TYPE" => 415,
        "RequestIdReused" | "UNPROCESSABLE_ENTITY" => 422,
        "UPGRADE_REQUIRED" => 426,
        "ResourceExhausted" | "TOO_MANY_REQUESTS" | "overloaded" => 429,
        "Internal" | "INTERNAL_SERVER_ERROR" => 500,
        "Unavailable" | "SERVICE_UNAVAILABLE" | "unavailable" => 503,
        "DeadlineExceeded" | "GATEWAY_TIMEOUT" => 504,
        _ => return None,
    })
}

/// The codes in a piece of code, by themselves or as constants of it, with the kinds they stand beside.
fn codes(text: &str) -> Vec<(String, String)> {
    let beside = concat!(
        r"(?:(?:Status)?Code::(\w+),|\b(unavailable|unauthenticated|not_found|overloaded)\()\s*",
        r#"(?:"([A-Z][A-Z0-9_]+)"|([A-Z][A-Z0-9_]+)\b)"#,
    );
    let constant = Regex::new(r#"const (\w+): &str = "([A-Z][A-Z0-9_]+)";"#).unwrap();
    let constants: BTreeMap<_, _> =
        constant.captures_iter(text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let codes = Regex::new(beside).unwrap();
    let codes = codes.captures_iter(text).filter_map(|found| {
        let kind = found.get(1).or_else(|| found.get(2))?;
        let code = match found.get(3) {
            Some(word) => word.as_str(),
            None => constants.get(&found[4])?.as_str(),
        };
        Some((kind.as_str().to_owned(), code.to_owned()))
    });
    codes.collect()
}

/// The table's codes, each with the status of its row.
fn documented() -> BTreeSet<(u16, String)> {
    let (_, section) = API.split_once("\n## Errors\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let code = Regex::new("`([A-Z][A-Z0-9_]+)`").unwrap();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').collect();
        if let Ok(status) = cells[1].trim().parse() {
            documented.extend(code.captures_iter(cells[2]).map(|found| (status, found[1].to_owned())));
        }
    }
    documented
}

/// The code without its comments and its tests, by where it stands.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut folders = vec![root.join("gateway/src")];
    for service in root.join("services").read_dir().unwrap() {
        folders.push(service.unwrap().path().join("src"));
    }
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !["tests", "conformance"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let place = path.strip_prefix(&root).unwrap().to_owned();
                sources.push((place, text.lines().filter(is_code).collect::<Vec<_>>().join("\n")));
            }
        }
    }
    sources
}

/// Those of the codes of 5xx that the gateway passes on; of others it has its own.
fn curated() -> String {
    let (_, rest) = STATUS.split_once("const CURATED: &[&str] =").unwrap();
    rest.split_once("];").unwrap().0.to_owned()
}

#[test]
fn every_code_that_a_client_may_be_told_is_in_the_table_with_its_status() {
    let (documented, curated) = (documented(), curated());
    let (mut missing, mut told) = (Vec::new(), BTreeSet::new());
    for (path, text) in sources() {
        let is_gateway = path.starts_with("gateway");
        for (kind, code) in codes(&text) {
            let status =
                status(&kind).unwrap_or_else(|| panic!("{}: {code} is beside {kind}", path.display()));
            let passes = status < 500 || is_gateway || curated.contains(&format!("\"{code}\""));
            if !passes || NOT_TOLD.iter().any(|(hidden, _)| *hidden == code) {
                continue;
            }
            if !documented.contains(&(status, code.clone())) {
                missing.push(format!("{status} {code}, of {}", path.display()));
            }
            told.insert((status, code));
        }
    }
    assert!(missing.is_empty(), "not in the table of docs/api.md: {missing:#?}");
    // Else it was not looked for as codes are written now.
    assert!(told.len() > 60, "{told:#?}");
}

#[test]
fn every_code_in_the_table_is_in_the_code() {
    let sources = sources();
    for (status, code) in documented() {
        let word = format!("\"{code}\"");
        assert!(
            sources.iter().any(|(_, text)| text.contains(&word)),
            "{status} {code} is nowhere in the code"
        );
    }
    for (code, _) in NOT_TOLD {
        let word = format!("\"{code}\"");
        assert!(sources.iter().any(|(_, text)| text.contains(&word)), "{code} need not be excused any more");
        assert!(!documented().iter().any(|(_, documented)| documented == code), "{code} is told after all");
    }
}

#[test]
fn codes_are_found_however_they_are_written() {
    let text = r#"
        Err(ApiError::new(Code::Conflict, "ONE", text));
        Error::Two => (ErrorCode::NotFound, "TWO"),
        Problem::new(
            http::StatusCode::BAD_REQUEST,
            "THREE", "text");
        ApiError::unavailable("FOUR", error), Self::not_found("FIVE", "text"), self.overloaded("SIX");
        Entry::done(actor, "NOT_A_CODE", origin);
        const OF_SEVEN: &str = "SEVEN";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, OF_SEVEN, text), ApiError::new(Code::Internal, reason, text);
    "#;
    let found: Vec<(u16, String)> =
        codes(text).into_iter().map(|(kind, code)| (status(&kind).unwrap(), code)).collect();
    let expected = [
        (409, "ONE"),
        (404, "TWO"),
        (400, "THREE"),
        (503, "FOUR"),
        (404, "FIVE"),
        (429, "SIX"),
        (429, "SEVEN"),
    ]
    .map(|(s, c)| (s, c.to_owned()));
    assert_eq!(found, expected);
}
