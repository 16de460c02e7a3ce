//! A database a service, with two roles: the owner migrates, the runtime role reads and writes rows. Neither can
//! connect to any other database.

use std::{fmt, pin::Pin};

use secrecy::SecretString;
use tokio_postgres::{Client, Connection, NoTls, SimpleQueryMessage, Socket, tls::NoTlsStream};

use super::{ADMIN, Postgres, config};
use crate::{Doing, Error, Result};

/// A service's database and the two ways into it.
#[derive(Debug, Clone)]
pub struct ServiceDatabase {
    /// `petty_<service>`.
    pub name: String,
    /// Owns the database and its tables: for migrations.
    pub owner_url: SecretString,
    /// SELECT, INSERT, UPDATE and DELETE on what the owner makes: for the running service.
    pub runtime_url: SecretString,
}

impl Postgres {
    /// Makes the database `petty_<service>` and its roles where they are missing, and sets what they may do.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] if the name cannot be one, [`Error::Postgres`] if the server refuses or is away.
    pub fn ensure_database<'a>(&'a self, service: &'a str) -> Doing<'a, ServiceDatabase> {
        Box::pin(self.ensure(service))
    }

    async fn ensure(&self, service: &str) -> Result<ServiceDatabase> {
        if !is_name(service) {
            return Err(Error::BadName(service.to_owned()));
        }
        let name = format!("petty_{service}");
        let (owner, runtime) = (format!("{name}_owner"), format!("{name}_runtime"));
        let owner_password = self.state.password(&owner)?;
        let runtime_password = self.state.password(&runtime)?;

        let _one = self.ensuring.lock().await;
        let doing = |cause| Error::Postgres { doing: format!("make the database {name}"), cause };
        self.make(&name, [(&owner, &owner_password), (&runtime, &runtime_password)]).await.map_err(doing)?;
        self.grant(&name, &owner, &runtime).await.map_err(doing)?;
        Ok(ServiceDatabase {
            owner_url: self.url(&owner, &owner_password, &name),
            runtime_url: self.url(&runtime, &runtime_password, &name),
            name,
        })
    }

    // Names and passwords stand in the statements because DDL takes no parameters: the names match `is_name`, the
    // passwords are hex digits.

    async fn make(&self, name: &str, roles: [(&str, &str); 2]) -> Result<(), tokio_postgres::Error> {
        let mut admin = self.admin("postgres").await?;
        for (role, password) in roles {
            let known = format!("SELECT 1 FROM pg_roles WHERE rolname = '{role}'");
            let verb = if admin.has_rows(&known).await? { "ALTER" } else { "CREATE" };
            admin
                .run(&format!(
                    "{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '{password}'"
                ))
                .await?;
        }
        let [(owner, _), (runtime, _)] = roles;
        let known = format!("SELECT 1 FROM pg_database WHERE datname = '{name}'");
        if !admin.has_rows(&known).await? {
            // template0 cannot be connected to, so nothing ever holds it up.
            admin.run(&format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0")).await?;
        }
        admin
            .run(&format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC;
                 GRANT CONNECT ON DATABASE {name} TO {owner}, {runtime};
                 REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;"
            ))
            .await
            .map(drop)
    }

    async fn grant(&self, name: &str, owner: &str, runtime: &str) -> Result<(), tokio_postgres::Error> {
        let mut admin = self.admin(name).await?;
        admin
            .run(&format!(
                "REVOKE ALL ON SCHEMA public FROM PUBLIC;
                 GRANT USAGE ON SCHEMA public TO {runtime};
                 ALTER DEFAULT PRIVILEGES FOR ROLE {owner}
                     GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {runtime};
                 ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SEQUENCES TO {runtime};"
            ))
            .await
            .map(drop)
    }

    async fn admin(&self, database: &str) -> Result<Session, tokio_postgres::Error> {
        let password = self.state.password(ADMIN).unwrap_or_default();
        Session::open(self.port(), ADMIN, &password, database).await
    }
}

/// A connection that is driven only while a statement runs: no task stays behind.
pub(super) struct Session {
    client: Client,
    connection: Pin<Box<Connection<Socket, NoTlsStream>>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    pub(super) async fn open(
        port: u16,
        role: &str,
        password: &str,
        database: &str,
    ) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config(port, role, password, database).connect(NoTls).await?;
        Ok(Self { client, connection: Box::pin(connection) })
    }

    pub(super) async fn run(&mut self, sql: &str) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
        let query = self.client.simple_query(sql);
        tokio::pin!(query);
        tokio::select! {
            // The query first: it knows more of what went wrong than the connection that ends with it.
            biased;
            answer = &mut query => answer,
            ended = &mut self.connection => match ended {
                Err(error) => Err(error),
                Ok(()) => query.await,
            },
        }
    }

    async fn has_rows(&mut self, sql: &str) -> Result<bool, tokio_postgres::Error> {
        let answer = self.run(sql).await?;
        Ok(answer.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))))
    }
}

/// Short enough for the role made from it (63 bytes), and in need of no quoting.
fn is_name(service: &str) -> bool {
    (1..=40).contains(&service.len())
        && service.starts_with(|c: char| c.is_ascii_lowercase())
        && service.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_need_quoting_are_refused() {
        for (name, want) in [
            ("auth", true),
            ("t_9", true),
            (&"a".repeat(40), true),
            (&"a".repeat(41), false),
            ("", false),
            ("9a", false),
            ("_a", false),
            ("Auth", false),
            ("a-b", false),
            ("a\"; DROP", false),
        ] {
            assert_eq!(is_name(name), want, "{name:?}");
        }
    }
}
