//! The worker that sends what is queued: each replica looks for what is due, and takes one at a time.

use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox};
use petty_chassis::periodic;
use petty_chassis::postgres::{Db, Error};
use petty_chassis::service::Context;

use super::transport::{Outcome, Transport};
use super::{Kept, SEALED};
use crate::config::mail::MailConfig;
use crate::store::mails::{self, Taken};
use crate::vault::Vault;

/// How often it is looked for what is due.
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a first attempt, in which nobody else takes the mail; it doubles up to the longest.
const PAUSES: (SignedDuration, SignedDuration) =
    (SignedDuration::from_secs(30), SignedDuration::from_mins(10));

struct Sender {
    db: Db,
    clock: petty_chassis::types::Clock,
    vault: Vault,
    transport: Transport,
    from: Mailbox,
    site: String,
}

/// Sends what is queued, until the process drains.
///
/// # Errors
/// Where the configuration cannot be used.
pub(crate) fn deliver(context: &Context, db: &Db, vault: &Vault, config: MailConfig) -> anyhow::Result<()> {
    let MailConfig { way, from, site } = config;
    let Some(way) = way else {
        tracing::warn!("neither PETTY_SMTP_URL nor PETTY_MAIL_DIR is set: mail waits and expires");
        return Ok(());
    };
    let transport = Transport::new(way, from.email.domain(), &context.tasks)?;
    let (db, vault, clock) = (db.clone(), vault.clone(), context.clock.clone());
    let sender = std::sync::Arc::new(Sender { db, clock, vault, transport, from, site });
    periodic::every(context, "auth-mail", INTERVAL, move || {
        let sender = sender.clone();
        async move { sender.round().await }
    });
    Ok(())
}

impl Sender {
    /// Sends all that is due, unless the way is barred.
    async fn round(&self) -> Result<(), Error> {
        loop {
            let now = self.clock.now();
            let taken = self
                .db
                .transaction("take_mail", |tx| async move { mails::take(&tx, now, PAUSES).await })
                .await?;
            let Some(Taken { mail_id, sealed, created_at, attempts }) = taken else { return Ok(()) };
            let outcome = match self.message(mail_id, &sealed, created_at.into()) {
                Some(message) => self.transport.send(mail_id, message).await,
                None => Outcome::Refused("it cannot be read".to_owned()),
            };
            match outcome {
                Outcome::Sent => tracing::info!(%mail_id, attempts, "a mail is sent"),
                Outcome::Refused(reason) => {
                    tracing::warn!(%mail_id, attempts, reason, "a mail cannot be sent, and is given up");
                }
                Outcome::Away(reason) => {
                    tracing::warn!(%mail_id, attempts, reason, "a mail is not sent yet; it is tried again");
                    return Ok(());
                }
            }
            self.db.transaction("mail_is_done", |tx| async move { mails::done(&tx, mail_id).await }).await?;
        }
    }

    fn message(&self, mail_id: uuid::Uuid, sealed: &[u8], date: SystemTime) -> Option<Message> {
        let text = self.vault.open_alone(mail_id, SEALED, sealed).ok()?;
        let Kept { to, letter } = serde_json::from_str(&text).ok()?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.parse().ok()?))
            .subject(letter.subject())
            .date(date)
            // The same in each attempt, so that a mailbox can tell a second copy.
            .message_id(Some(format!("<{mail_id}@{}>", self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        message.body(body(letter.text(&self.site))).ok()
    }
}

/// A text as it is, where it may be: links stay whole, for people who read files and for programs that do not decode.
fn body(text: String) -> Body {
    // RFC 5322, 2.1.1: at most 998 characters a line.
    if text.is_ascii() && text.lines().all(|line| line.len() <= 998) {
        let lines = text.replace('\n', "\r\n").into_bytes();
        return Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}
