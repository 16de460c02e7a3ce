//! Mail: queued in the transaction of what it tells of, sent by a worker.
//!
//! Invariants: what was not committed is not told; a mail server that is away neither loses a mail nor holds up whoever caused
//! it; no address and no token is stored as it is, or logged.

mod sender;
mod transport;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{Clock, EventId};
use serde::{Deserialize, Serialize};

pub(crate) use sender::deliver;

use crate::domain::account::Email;
use crate::domain::letter::Letter;
use crate::store::mails::{self, NewMail};
use crate::vault::{Field, Purpose, Vault};

/// Of the letters that anybody can have sent to an address, so many go to it within [`WINDOW`].
const MOST_UNASKED: i64 = 5;
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

const SEALED: Field = Field { table: "mails", column: "sealed" };

/// What is kept of a mail until it is sent.
#[derive(Serialize, Deserialize)]
struct Kept {
    to: String,
    #[serde(flatten)]
    letter: Letter,
}

/// Queues mail.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    clock: Clock,
    vault: Vault,
}

impl Post {
    pub(crate) fn new(clock: Clock, vault: Vault) -> Self {
        Self { clock, vault }
    }

    /// Whether an address has had enough letters that it did not ask for.
    pub(crate) async fn is_flooded(&self, tx: &Tx, now: Timestamp, to: &Email) -> Result<bool, Error> {
        Ok(mails::unasked_since(tx, &self.recipient(to), now - WINDOW).await? >= MOST_UNASKED)
    }

    /// Queues a letter.
    pub(crate) async fn send(
        &self,
        tx: &Tx,
        now: Timestamp,
        to: &Email,
        letter: &Letter,
    ) -> Result<(), Error> {
        let mail_id = EventId::new(&self.clock).0;
        let kept = Kept { to: to.address().to_owned(), letter: letter.clone() };
        let text = serde_json::to_string(&kept)
            .map_err(|_| Error::Inconsistent { table: "mails", column: "sealed".to_owned() })?;
        let sealed = self.vault.seal_alone(mail_id, SEALED, &text)?;
        let mail = NewMail {
            mail_id,
            recipient: &self.recipient(to),
            unasked: letter.is_unasked(),
            sealed: Some(&sealed),
            created_at: now,
            expires_at: now + letter.lifetime(),
        };
        mails::add(tx, &mail).await
    }

    /// Does what [`Post::send`] does, but nothing is sent: where an address must not be told apart from others.
    pub(crate) async fn pretend(
        &self,
        tx: &Tx,
        now: Timestamp,
        to: &Email,
        letter: &Letter,
    ) -> Result<(), Error> {
        let mail_id = EventId::new(&self.clock).0;
        let _as_much_work = self.vault.seal_alone(mail_id, SEALED, to.address())?;
        let mail = NewMail {
            mail_id,
            recipient: &self.recipient(to),
            unasked: true,
            sealed: None,
            created_at: now,
            expires_at: now + letter.lifetime(),
        };
        mails::add(tx, &mail).await
    }

    fn recipient(&self, to: &Email) -> Vec<u8> {
        self.vault.blind_index(Purpose("mails.recipient"), to.key()).to_vec()
    }
}
