//! PostgreSQL over TLS: a server that does not prove who it is is told nothing, and nobody talks us out of it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use petty_chassis::config::{PostgresConfig, PostgresTls};
use petty_chassis::postgres::{Db, Error, Migrations};
use petty_provision::{ServiceDatabase, Stack};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

use crate::fixture::{Keys, context};
use crate::mtls::Authority;
use crate::world::{eventually, migrations};

/// What the server's certificate is for.
const NAME: &str = "db.petty.test";
/// Services are taken over TLS alone, and those of one database with a certificate of their own. Not so the administrator, who
/// makes databases.
const HBA: &str = "host all postgres 127.0.0.1/32 scram-sha-256
hostssl petty_tls_proof all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
host petty_tls_proof all 127.0.0.1/32 reject
hostssl all all 127.0.0.1/32 scram-sha-256
";

/// A PostgreSQL with TLS.
struct Server {
    stack: Stack,
    authority: Authority,
}

/// The binary's own, for all of these tests.
async fn server() -> &'static Server {
    static SERVER: OnceCell<Server> = OnceCell::const_new();
    SERVER.get_or_init(Server::start).await
}

impl Server {
    async fn start() -> Self {
        let (stack, authority) = (Stack::temporary().await.unwrap(), Authority::new());
        let url = stack.postgres().admin_url();
        let (client, connection) = tokio_postgres::connect(url.expose_secret(), NoTls).await.unwrap();
        let setting_up = async {
            set_up(&client, &authority).await;
            drop(client);
        };
        let ((), ended) = tokio::join!(setting_up, connection);
        ended.unwrap();
        let server = Self { stack, authority };
        // It takes what is set when its time comes.
        let database = server.stack.postgres().ensure_database("tls_setup").await.unwrap();
        let (ca, probe) = (server.ca(), &database.runtime_url);
        eventually("the server speaks TLS", || async {
            let db = Db::connect(&config(at(probe, NAME, "verify-full"), &ca)).unwrap();
            encrypted(&db).await == Ok(true)
        })
        .await;
        server
    }

    /// Its authority's certificate.
    fn ca(&self) -> NamedTempFile {
        file(&self.authority.pem)
    }

    async fn database(&self, name: &str) -> ServiceDatabase {
        self.stack.postgres().ensure_database(name).await.unwrap()
    }
}

async fn set_up(client: &Client, authority: &Authority) {
    let row = client.query_one("SHOW data_directory", &[]).await.unwrap();
    let dir = PathBuf::from(row.get::<_, String>(0));
    let (certificate, key) = authority.issue(&[NAME], |_| {});
    for (name, text) in [("server.crt", &certificate), ("server.key", &key), ("root.crt", &authority.pem)] {
        put(&dir, name, text);
    }
    std::fs::write(dir.join("pg_hba.conf"), HBA).unwrap();
    for sql in [
        "ALTER SYSTEM SET ssl_cert_file = 'server.crt'",
        "ALTER SYSTEM SET ssl_key_file = 'server.key'",
        "ALTER SYSTEM SET ssl_ca_file = 'root.crt'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
}

/// A file of the server's own user, who may be another than ours, and nobody else's.
fn put(dir: &Path, name: &str, text: &str) {
    let (path, owner) = (dir.join(name), std::fs::metadata(dir).unwrap());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

fn file(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// The same URL, with another name for its host. An empty mode: none.
fn at(url: &SecretString, host: &str, mode: &str) -> SecretString {
    let mode = if mode.is_empty() { String::new() } else { format!("&sslmode={mode}") };
    let url = url.expose_secret().replace("@127.0.0.1:", &format!("@{host}:"));
    format!("{url}?hostaddr=127.0.0.1{mode}").into()
}

fn config(runtime_url: SecretString, ca: &NamedTempFile) -> PostgresConfig {
    let tls = PostgresTls { ca: Some(ca.path().to_owned()), client: None };
    PostgresConfig { runtime_url, owner_url: None, pool_size: 1, tls }
}

/// Whether what is asked and answered is encrypted, as the server sees it; or why there is no answer.
async fn encrypted(db: &Db) -> Result<bool, String> {
    let sql = "-- encrypted\nSELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let found: Result<bool, Error> = db
        .read(
            "encrypted",
            |tx| async move { Error::column(&tx.query_one(sql, &[]).await?, "pg_stat_ssl", 0) },
        )
        .await;
    found.map_err(|error| petty_chassis::error::chain(&error))
}

#[tokio::test]
async fn a_server_that_proves_who_it_is_is_spoken_to_over_tls() {
    let server = server().await;
    let database = server.database("tls_right").await;
    let ca = server.ca();
    // An authority alone is enough, whatever the URL says but `disable`.
    for mode in ["", "prefer", "require", "verify-ca", "verify-full"] {
        let db = Db::connect(&config(at(&database.runtime_url, NAME, mode), &ca)).unwrap();
        assert_eq!(encrypted(&db).await, Ok(true), "{mode}");
    }
    // So are migrations, and all that a service asks when it starts: in plain nobody is let in here.
    let context = context("postgres_tls", &Keys::new().environment("auth"));
    let mut config = config(at(&database.runtime_url, NAME, ""), &ca);
    config.owner_url = Some(at(&database.owner_url, NAME, ""));
    let db = Db::open(&context, &config, Migrations::new(migrations::migrations::runner())).await.unwrap();
    assert_eq!(encrypted(&db).await, Ok(true));
    context.shutdown.cancel();

    config.runtime_url = at(&database.runtime_url, NAME, "disable");
    let refused = encrypted(&Db::connect(&config).unwrap()).await.unwrap_err();
    assert!(refused.contains("no encryption"), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_is_told_nothing() {
    let server = server().await;
    let database = server.database("tls_wrong").await;
    let (ours, theirs) = (server.ca(), file(&Authority::new().pem));
    let of_the_platform = PostgresConfig {
        tls: PostgresTls::default(),
        ..config(at(&database.runtime_url, NAME, "require"), &ours)
    };
    for (config, reason) in [
        (
            config(at(&database.runtime_url, NAME, ""), &theirs),
            "no authority in PETTY_DATABASE_TLS_CA_FILE signed it",
        ),
        (
            config(at(&database.runtime_url, "other.petty.test", "require"), &ours),
            "certificate not valid for name \"other.petty.test\"",
        ),
        (
            config(at(&database.runtime_url, "127.0.0.1", "verify-ca"), &ours),
            "certificate not valid for name",
        ),
        (of_the_platform, "no authority of the platform signed it"),
    ] {
        let refused = match Db::connect(&config) {
            Ok(db) => encrypted(&db).await.unwrap_err(),
            // Where the platform has none.
            Err(error) => error.to_string(),
        };
        let without = reason.starts_with("no authority of the platform")
            && refused.contains("the platform has no authorities");
        assert!(refused.contains(reason) || without, "{reason}: {refused}");
    }
    let context = context("postgres_tls_wrong", &Keys::new().environment("auth"));
    let mut config = config(at(&database.runtime_url, NAME, ""), &theirs);
    config.owner_url = Some(at(&database.owner_url, NAME, ""));
    let migrations = Migrations::new(migrations::migrations::runner());
    let refused = format!("{:#}", Db::open(&context, &config, migrations).await.unwrap_err());
    assert!(
        refused.contains("PETTY_MIGRATION_URL") && refused.contains("PETTY_DATABASE_TLS_CA_FILE"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_without_tls_is_spoken_to_where_none_is_wanted() {
    let database =
        petty_provision::shared().await.unwrap().postgres().ensure_database("tls_without").await.unwrap();
    let ca = file(&Authority::new().pem);
    let plain = |mode| PostgresConfig {
        tls: PostgresTls::default(),
        ..config(at(&database.runtime_url, NAME, mode), &ca)
    };
    for config in [plain(""), plain("prefer"), config(at(&database.runtime_url, NAME, "disable"), &ca)] {
        assert_eq!(encrypted(&Db::connect(&config).unwrap()).await, Ok(false));
    }
    for mode in ["", "prefer", "require"] {
        let db = Db::connect(&config(at(&database.runtime_url, NAME, mode), &ca)).unwrap();
        let refused = encrypted(&db).await.unwrap_err();
        assert!(refused.contains("server does not support TLS"), "{mode}: {refused}");
    }
}

#[tokio::test]
async fn a_certificate_of_our_own_is_shown_to_a_server_that_asks() {
    let server = server().await;
    let database = server.database("tls_proof").await;
    let ca = server.ca();
    let mut config = config(at(&database.runtime_url, NAME, ""), &ca);
    let refused = encrypted(&Db::connect(&config).unwrap()).await.unwrap_err();
    assert!(refused.contains("requires a valid client certificate"), "{refused}");

    // Whose it is must differ from who signed it: such a one is taken to have signed itself.
    let (certificate, key) = server
        .authority
        .issue(&["auth"], |params| params.distinguished_name.push(rcgen::DnType::CommonName, "auth"));
    let (certificate, key) = (file(&certificate), file(&key));
    config.tls.client = Some((certificate.path().to_owned(), key.path().to_owned()));
    assert_eq!(encrypted(&Db::connect(&config).unwrap()).await, Ok(true));
}

#[tokio::test]
async fn an_authority_that_changes_is_believed_from_the_next_connection_on() {
    let server = server().await;
    let database = server.database("tls_turning").await;
    let ca = file(&Authority::new().pem);
    let db = Db::connect(&config(at(&database.runtime_url, NAME, ""), &ca)).unwrap();
    let refused = encrypted(&db).await.unwrap_err();
    assert!(refused.contains("PETTY_DATABASE_TLS_CA_FILE"), "{refused}");
    std::fs::write(ca.path(), &server.authority.pem).unwrap();
    assert_eq!(encrypted(&db).await, Ok(true));

    // What cannot be used changes nothing. The connection before must be gone for there to be another.
    std::fs::write(ca.path(), "").unwrap();
    let sql = "-- end\nSELECT pg_terminate_backend(pg_backend_pid())";
    let ended: Result<(), Error> =
        db.read("end", |tx| async move { tx.query_one(sql, &[]).await.map(|_| ()) }).await;
    ended.unwrap_err();
    let again = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match encrypted(&db).await {
                Ok(encrypted) => return encrypted,
                // Told of an end that was on its way.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    });
    assert!(again.await.unwrap());
}

#[tokio::test]
async fn plain_beyond_this_machine_is_said_once_without_what_is_secret() {
    let stack = petty_provision::shared().await.unwrap();
    let database = stack.postgres().ensure_database("tls_open").await.unwrap();
    let context = context("postgres_tls_open", &Keys::new().environment("auth"));
    let said = |from: &'static str| {
        let (context, database) = (&context, &database);
        async move {
            // Every machine's name for itself that is not loopback, so that somebody answers.
            let beyond = |url: &SecretString| url.expose_secret().replace("@127.0.0.1:", from).into();
            let config = PostgresConfig {
                runtime_url: beyond(&database.runtime_url),
                owner_url: Some(beyond(&database.owner_url)),
                pool_size: 1,
                tls: PostgresTls::default(),
            };
            let written = NamedTempFile::new().unwrap();
            let writer = Arc::new(written.reopen().unwrap());
            let log = tracing_subscriber::fmt().with_writer(writer).with_ansi(false).finish();
            let listening = tracing::subscriber::set_default(log);
            let migrations = Migrations::new(migrations::migrations::runner());
            Db::open(context, &config, migrations).await.unwrap();
            drop(listening);
            let lines = std::fs::read_to_string(written.path()).unwrap();
            lines.lines().filter(|line| line.contains("without TLS")).map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let warned = said("@0.0.0.0:").await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    for part in ["WARN", "PETTY_MIGRATION_URL, PETTY_DATABASE_URL", "PETTY_DATABASE_TLS_CA_FILE"] {
        assert!(warned[0].contains(part), "{part}: {warned:?}");
    }
    assert!(!warned[0].contains("0.0.0.0") && !warned[0].contains("petty_tls_open"), "{warned:?}");
    assert_eq!(said("@127.0.0.1:").await, Vec::<String>::new());
    context.shutdown.cancel();
}
