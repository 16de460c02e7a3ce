//! Where mail goes.

use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use petty_chassis::config::Reader;
use secrecy::{ExposeSecret as _, SecretString};

const SMTP: &str = "PETTY_SMTP_URL";
const DIRECTORY: &str = "PETTY_MAIL_DIR";
const FROM: &str = "PETTY_MAIL_FROM";
const SITE: &str = "PETTY_PUBLIC_URL";

/// Where mail goes, and what stands in it.
#[derive(Debug)]
pub struct MailConfig {
    /// How it leaves; `None`: it waits, and expires.
    pub way: Option<Way>,
    /// Whom it is from: `PETTY_MAIL_FROM`, for example `Petty <no-reply@petty.example>`. Required with SMTP.
    pub from: Mailbox,
    /// Where the pages are that its links lead to: `PETTY_PUBLIC_URL`, for example `https://petty.example`, without a slash at its
    /// end. Required with SMTP.
    pub site: String,
}

/// How mail leaves.
#[derive(Debug)]
pub enum Way {
    /// To a server: `PETTY_SMTP_URL`, `smtps://user:password@host` or `smtp://user:password@host?tls=required`. Without TLS on
    /// loopback only.
    Smtp(SecretString),
    /// Into a directory, a file each: `PETTY_MAIL_DIR`. For development.
    Directory(PathBuf),
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<MailConfig> {
    let (smtp, directory) = (reader.secret_optional(SMTP), reader.optional::<PathBuf>(DIRECTORY));
    if smtp.is_some() && directory.is_some() {
        reader.fault(DIRECTORY, format!("is set, and so is {SMTP}; set one of them"));
    }
    if let Some(problem) = smtp.as_ref().and_then(|url| fault_of(url.expose_secret())) {
        reader.fault(SMTP, problem);
    }
    let is_needed = smtp.is_some();
    let from = reader.optional::<String>(FROM);
    if from.is_none() && is_needed {
        reader.fault(FROM, format!("is not set, but {SMTP} is"));
    }
    let from = from.unwrap_or_else(|| "Petty <petty@localhost>".to_owned()).parse::<Mailbox>();
    let from =
        from.map_err(|_| reader.fault(FROM, "is no address, as in Petty <no-reply@petty.example>")).ok();
    let site = reader.optional::<String>(SITE);
    if site.is_none() && is_needed {
        reader.fault(SITE, format!("is not set, but {SMTP} is"));
    }
    let site = site.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    if !is_site(&site, is_needed) {
        reader.fault(SITE, "is no address of pages, as in https://petty.example (http on loopback alone)");
    }
    let way = smtp.map(Way::Smtp).or(directory.map(Way::Directory));
    Some(MailConfig { way, from: from?, site: site.trim_end_matches('/').to_owned() })
}

/// What is wrong with a server's address; without the address, which may hold a password.
fn fault_of(text: &str) -> Option<&'static str> {
    let Ok(url) = url::Url::parse(text) else { return Some("is no URL, as in smtps://user:password@host") };
    let Some(host) = url.host_str() else { return Some("names no host") };
    let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", None) | ("smtp", Some("required")) => None,
        ("smtp", None) if is_loopback(host) => None,
        ("smtp", None | Some("opportunistic")) => {
            Some("does without TLS beyond loopback; use smtps://, or ?tls=required")
        }
        _ => Some("is neither smtps:// nor smtp://…?tls=required"),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Tokens stand in links: beyond loopback nobody on the way may read them.
fn is_site(text: &str, public: bool) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let Some(host) = url.host_str() else { return false };
    let scheme = match url.scheme() {
        "https" => true,
        "http" => !public || is_loopback(host),
        _ => false,
    };
    scheme && url.query().is_none() && url.fragment().is_none() && !text.chars().any(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_mail_go_over_tls_beyond_loopback() {
        for (url, good) in [
            ("smtps://user:secret@mail.example", true),
            ("smtps://mail.example:4650", true),
            ("smtp://user:secret@mail.example?tls=required", true),
            ("smtp://127.0.0.1:2525", true),
            ("smtp://[::1]:2525", true),
            ("smtp://localhost", true),
            ("smtp://mail.example", false),
            ("smtp://mail.example?tls=opportunistic", false),
            ("smtp://mail.example?tls=none", false),
            ("http://mail.example", false),
            ("mail.example", false),
            ("", false),
        ] {
            assert_eq!(fault_of(url).is_none(), good, "{url}");
        }
    }

    #[test]
    fn links_lead_to_https_beyond_loopback() {
        for (site, development, public) in [
            ("https://petty.example", true, true),
            ("https://petty.example/app", true, true),
            ("http://127.0.0.1:8080", true, true),
            ("http://petty.example", true, false),
            ("https://petty.example?a=b", false, false),
            ("https://petty.example#a", false, false),
            ("javascript:alert(1)", false, false),
            ("petty.example", false, false),
        ] {
            assert_eq!((is_site(site, false), is_site(site, true)), (development, public), "{site}");
        }
    }
}
