//! What stands in the services' databases, read with the administrator's eyes.

use petty_provision::Stack;
use secrecy::ExposeSecret as _;
use tokio_postgres::{Client, Config, NoTls, Row};

/// A connection to a service's database.
#[derive(Debug)]
pub struct Tables {
    client: Client,
}

impl Tables {
    /// As the administrator.
    ///
    /// # Panics
    /// Where it cannot be connected to.
    pub async fn of(stack: &Stack, service: &str) -> Self {
        let mut config: Config = stack.postgres().admin_url().expose_secret().parse().expect("a URL");
        config.dbname(format!("petty_{service}"));
        Self::connect(&config).await.expect("a connection")
    }

    /// With any URL.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn with_url(url: &str) -> Result<Self, tokio_postgres::Error> {
        Self::connect(&url.parse()?).await
    }

    /// With a URL's role, but to another database.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn elsewhere(url: &str, database: &str) -> Result<Self, tokio_postgres::Error> {
        let mut config: Config = url.parse()?;
        config.dbname(database);
        Self::connect(&config).await
    }

    async fn connect(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        // Ends with the client. Tests have no shutdown to wait for.
        #[expect(clippy::disallowed_methods, reason = "the driver's own connection task, in a test")]
        tokio::spawn(connection);
        Ok(Self { client })
    }

    /// Rows.
    ///
    /// # Panics
    /// Where the statement fails.
    pub async fn rows(&self, sql: &str) -> Vec<Row> {
        self.client.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The texts of a statement's first column.
    ///
    /// # Panics
    /// Where the statement fails, or its first column is no text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        self.rows(sql).await.iter().map(|row| row.get(0)).collect()
    }

    /// A count.
    ///
    /// # Panics
    /// Where the statement fails.
    pub async fn count(&self, sql: &str) -> i64 {
        self.rows(sql).await[0].get(0)
    }

    /// What stands in each table, as a digest. Of the audit log that is what was done, not what was refused.
    ///
    /// # Panics
    /// Where a table cannot be read.
    pub async fn digests(&self, without: &[&str]) -> Vec<(String, String)> {
        let tables = "SELECT c.relname::text FROM pg_class c
                      JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                      ORDER BY 1";
        let mut digests = Vec::new();
        for table in self.texts(tables).await {
            if without.contains(&table.as_str()) {
                continue;
            }
            let done = if table == "audit_log" { "WHERE outcome = 'DONE'" } else { "" };
            let sql = format!(
                "SELECT count(*)::text || ' rows, ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '')
                 FROM {table} t {done}"
            );
            let digest = self.texts(&sql).await.remove(0);
            digests.push((table, digest));
        }
        digests
    }

    /// Whether a statement is refused, and with what SQLSTATE.
    pub async fn refused(&self, sql: &str) -> Option<String> {
        match self.client.batch_execute(sql).await {
            Ok(()) => None,
            Err(error) => Some(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned())),
        }
    }
}
