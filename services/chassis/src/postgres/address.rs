//! Where a PostgreSQL is, and whether it is spoken to over TLS.
//!
//! Invariant: a connection is plain or over TLS because the configuration says so, before it is made. Nothing is asked of the
//! server, so that nobody between here and there can answer that it has no TLS.

use std::net::IpAddr;

use deadpool_postgres::{Manager, ManagerConfig};
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::tls::{CA_FILE, CERT_FILE, Connector, KEY_FILE};
use crate::config::PostgresTls;

/// Why a URL is none. Says nothing of what it holds: that may be the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// It cannot be parsed.
    #[error("is not a valid URL, e.g. postgres://petty_auth_app:…@127.0.0.1:5432/petty_auth")]
    Url,
    /// Its `sslmode` is another word.
    #[error("its sslmode is none of disable, prefer, require, verify-ca and verify-full")]
    Mode,
    /// It names a file as libpq has it.
    #[error("{parameter} is no part of it here: set {setting}")]
    File {
        /// libpq's word.
        parameter: &'static str,
        /// Ours.
        setting: &'static str,
    },
}

/// A server, a role and a database, and how they are reached.
pub(super) struct Address {
    config: Config,
    /// `None`: in plain.
    tls: Option<Connector>,
}

impl Address {
    /// Of a URL, with these files.
    ///
    /// # Errors
    /// Where it is none, or there is nothing to verify a server with.
    pub(super) fn of(url: &SecretString, files: &PostgresTls) -> anyhow::Result<Self> {
        let mut config = parse(url)?;
        let tls = wants_tls(&config, files).then(|| Connector::new(files)).transpose()?;
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, tls })
    }

    /// What else is set of connections.
    pub(super) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Whether what is said and stored can be read, and changed, by whoever is between here and another machine.
    pub(super) fn is_open_to_others(&self) -> bool {
        self.tls.is_none() && is_beyond(&self.config)
    }

    /// A connection, and what drives it.
    pub(super) async fn connect(
        &self,
    ) -> Result<(Client, BoxFuture<'static, Result<(), tokio_postgres::Error>>), tokio_postgres::Error> {
        match &self.tls {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                Ok((client, Box::pin(connection)))
            }
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                Ok((client, Box::pin(connection)))
            }
        }
    }

    /// What makes a pool's connections.
    pub(super) fn manager(self, recycling: ManagerConfig) -> Manager {
        match self.tls {
            None => Manager::from_config(self.config, NoTls, recycling),
            Some(tls) => Manager::from_config(self.config, tls, recycling),
        }
    }
}

/// Parses a URL, or libpq's `name=value` pairs. `verify-ca` and `verify-full`, which the parser does not know, are `require`,
/// which is as strict here.
pub(crate) fn parse(url: &SecretString) -> Result<Config, Fault> {
    let url = url.expose_secret();
    if let Ok(config) = url.parse() {
        return Ok(config);
    }
    let (head, parameters, separator) = split(url);
    let mut known = Vec::new();
    for parameter in parameters.split(separator) {
        known.push(match parameter.split_once('=') {
            Some(("sslmode", "verify-ca" | "verify-full")) => "sslmode=require",
            Some(("sslmode", "disable" | "prefer" | "require")) => parameter,
            Some(("sslmode", _)) => return Err(Fault::Mode),
            Some(("sslrootcert", _)) => {
                return Err(Fault::File { parameter: "sslrootcert", setting: CA_FILE });
            }
            Some(("sslcert", _)) => return Err(Fault::File { parameter: "sslcert", setting: CERT_FILE }),
            Some(("sslkey", _)) => return Err(Fault::File { parameter: "sslkey", setting: KEY_FILE }),
            _ => parameter,
        });
    }
    format!("{head}{}", known.join(separator)).parse().map_err(|_| Fault::Url)
}

/// What stands before the parameters, the parameters, and what is between two of them. Split as the parser does: credentials
/// end at the first `@`, and may hold a `?`.
fn split(url: &str) -> (&str, &str, &'static str) {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return ("", url, " ");
    }
    let host = url.find('@').unwrap_or(0);
    let query = url[host..].find('?').map_or(url.len(), |query| host + query + 1);
    (&url[..query], &url[query..], "&")
}

/// A socket of this machine has no TLS, as PostgreSQL has it. Over TCP `prefer`, which is the parser's word where the URL has none, is no
/// wish that could be kept: what is set to verify the server with decides.
fn wants_tls(config: &Config, files: &PostgresTls) -> bool {
    let over_tcp = !config.get_hostaddrs().is_empty()
        || config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    over_tcp
        && match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Prefer => *files != PostgresTls::default(),
            // Whatever else there will be: rather refused than read by others.
            _ => true,
        }
}

/// Whether one of its hosts is another machine. A name is, but for `localhost`: where it leads is not known before.
fn is_beyond(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    if !addresses.is_empty() {
        return !addresses.iter().all(is_here);
    }
    config.get_hosts().iter().any(|host| match host {
        Host::Tcp(name) if name.eq_ignore_ascii_case("localhost") => false,
        Host::Tcp(name) => !name.parse().is_ok_and(|address| is_here(&address)),
        Host::Unix(_) => false,
    })
}

fn is_here(address: &IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> PostgresTls {
        PostgresTls { ca: Some("ca.pem".into()), client: None }
    }

    #[test]
    fn the_url_and_the_files_decide_on_tls() {
        // The URL, whether TLS is spoken without files and with them, and whether it leads to another machine.
        for (url, without, with, beyond) in [
            ("postgres://u:p@127.0.0.1/d", false, true, false),
            ("postgres://u:p@[::1]:5432/d", false, true, false),
            ("postgres://u:p@[::ffff:127.0.0.1]:5432/d", false, true, false),
            ("postgres://u:p@LocalHost/d", false, true, false),
            ("postgres://u:p@127.0.0.1/d?sslmode=require", true, true, false),
            ("postgres://u:p@db/d", false, true, true),
            ("postgres://u:p@db/d?sslmode=prefer", false, true, true),
            ("postgres://u:p@db/d?sslmode=disable", false, false, true),
            ("postgres://u:p@db/d?sslmode=require", true, true, true),
            ("postgres://u:p@db/d?sslmode=verify-full", true, true, true),
            ("postgresql://u:p?@db/d?connect_timeout=3&sslmode=verify-ca", true, true, true),
            ("host=db user=u password=p sslmode=verify-full dbname=d", true, true, true),
            ("host=db user=u password='sslmode=verify-full no' dbname=d", false, true, true),
            ("postgres://u:p@db/d?hostaddr=127.0.0.1", false, true, false),
            ("postgres://u:p@localhost/d?hostaddr=192.0.2.1", false, true, true),
            ("postgres://u:p@127.0.0.1,192.0.2.1/d", false, true, true),
            ("postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d", false, false, false),
            ("host=/var/run/postgresql user=u sslmode=require", false, false, false),
            ("host=/var/run/postgresql,db user=u", false, true, true),
        ] {
            let config = parse(&url.into()).unwrap();
            let found = (
                wants_tls(&config, &PostgresTls::default()),
                wants_tls(&config, &files()),
                is_beyond(&config),
            );
            assert_eq!(found, (without, with, beyond), "{url}");
        }
    }

    #[test]
    fn words_that_are_not_taken_are_named() {
        let file = |parameter, setting| Fault::File { parameter, setting };
        for (url, fault) in [
            ("postgres://u:p@db/d?sslmode=allow", Fault::Mode),
            ("postgres://u:p@db/d?sslmode=VERIFY-FULL", Fault::Mode),
            ("host=db user=u sslmode=", Fault::Mode),
            ("postgres://u:p@db/d?sslmode=verify-full&sslrootcert=/ca", file("sslrootcert", CA_FILE)),
            ("host=db user=u sslcert=/c", file("sslcert", CERT_FILE)),
            ("postgres://u:p@db/d?sslkey=/k", file("sslkey", KEY_FILE)),
            ("postgres://u:p@db/d?sslmode=verify-full&nonsense=1", Fault::Url),
            ("nonsense", Fault::Url),
        ] {
            assert_eq!(parse(&url.into()).unwrap_err(), fault, "{url}");
        }
    }

    #[test]
    fn what_is_rewritten_leaves_the_rest() {
        let url = "postgres://u:sslmode=verify-full?@db:1/d?application_name=a%26b&sslmode=verify-full";
        let config = parse(&url.into()).unwrap();
        assert_eq!(config.get_password(), Some(b"sslmode=verify-full?".as_slice()));
        assert_eq!((config.get_application_name(), config.get_dbname()), (Some("a&b"), Some("d")));
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
    }
}
