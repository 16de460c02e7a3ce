//! How mail leaves: to a server, or into a directory.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use petty_chassis::Tasks;
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use crate::config::mail::Way;

/// A server that takes longer for one step is away.
const STEP: Duration = Duration::from_secs(8);
/// And so is one that takes longer for all of them: shorter than the first pause between attempts.
const WHOLE: Duration = Duration::from_secs(20);

/// A way for mail to leave.
#[derive(Debug)]
pub(crate) enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Directory(PathBuf, Tasks),
}

/// What became of a mail.
#[derive(Debug)]
pub(crate) enum Outcome {
    Sent,
    /// The server refuses it, with this code, and would again.
    Refused(String),
    /// It may go through later.
    Away(String),
}

impl Transport {
    pub(crate) fn new(way: Way, hello: &str, tasks: &Tasks) -> anyhow::Result<Self> {
        Ok(match way {
            Way::Smtp(url) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret())
                    .map_err(|_| anyhow::anyhow!("PETTY_SMTP_URL cannot be used"))?;
                let named = ClientId::Domain(hello.to_owned());
                Self::Smtp(builder.hello_name(named).timeout(Some(STEP)).build())
            }
            Way::Directory(path) => {
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
                made.map_err(|error| {
                    anyhow::anyhow!("PETTY_MAIL_DIR: cannot make {}: {error}", path.display())
                })?;
                Self::Directory(path, tasks.clone())
            }
        })
    }

    /// Sends a mail, or writes it.
    pub(crate) async fn send(&self, mail_id: Uuid, message: Message) -> Outcome {
        match self {
            Self::Smtp(server) => match tokio::time::timeout(WHOLE, server.send(message)).await {
                Ok(Ok(_)) => Outcome::Sent,
                // What the server says may hold the address: its code is enough.
                Ok(Err(error)) => {
                    let code = error.status().map_or_else(|| "no answer".to_owned(), |code| code.to_string());
                    if error.is_permanent() { Outcome::Refused(code) } else { Outcome::Away(code) }
                }
                Err(_) => Outcome::Away("too slow".to_owned()),
            },
            Self::Directory(path, tasks) => {
                let (path, bytes) = (path.clone(), message.formatted());
                let written = tasks.spawn_blocking("write-mail", move || write(&path, mail_id, &bytes));
                match written.await {
                    Ok(Ok(())) => Outcome::Sent,
                    Ok(Err(error)) => Outcome::Away(error.to_string()),
                    Err(_) => Outcome::Away("writing it panicked".to_owned()),
                }
            }
        }
    }
}

/// Whole or not at all; its owner alone reads it.
fn write(directory: &Path, mail_id: Uuid, bytes: &[u8]) -> std::io::Result<()> {
    let (beside, name) =
        (directory.join(format!(".{mail_id}.new")), directory.join(format!("{mail_id}.eml")));
    let _none = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, &name)
}
