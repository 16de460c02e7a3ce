//! A pet with its collar on: posts readings batch by batch, and keeps the account of what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Serialize;

use super::patience::{Listener, News, persist};
use super::{Acknowledged, Client, Error};

/// What became of many animals' readings.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// In the order they were planned in.
    pub animals: Vec<Sent>,
}

/// What became of one animal's.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Its name.
    pub name: String,
    /// Its pet's id.
    pub pet_id: String,
    /// Its collar's id.
    pub collar_id: String,
    /// Readings there were to send.
    pub readings: usize,
    /// Of these, new and on disk.
    pub accepted: usize,
    /// Of these, there already (sent before).
    pub duplicates: usize,
    /// Of these, refused: reason and count.
    pub rejected: BTreeMap<String, usize>,
    /// Why the rest was not sent.
    pub gave_up: Option<String>,
}

impl Outcome {
    /// Whether every reading was acknowledged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.animals.iter().all(|animal| animal.gave_up.is_none() && animal.acknowledged() == animal.readings)
    }

    /// In words, animal by animal and in sum.
    #[must_use]
    pub fn summary(&self, email: &str) -> String {
        let mut text = String::new();
        let mut rejected: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut readings, mut accepted, mut duplicates) = (0, 0, 0);
        for animal in &self.animals {
            line(
                &mut text,
                format_args!(
                    "  {:<16} pet {}  collar {}  {} of {} readings acknowledged",
                    animal.name,
                    animal.pet_id,
                    animal.collar_id,
                    animal.acknowledged(),
                    animal.readings
                ),
            );
            if let Some(why) = &animal.gave_up {
                line(&mut text, format_args!("    gave up: {why}"));
            }
            readings += animal.readings;
            accepted += animal.accepted;
            duplicates += animal.duplicates;
            for (why, count) in &animal.rejected {
                *rejected.entry(why).or_default() += count;
            }
        }
        line(
            &mut text,
            format_args!(
                "{} animals of {email}: {readings} readings, {accepted} accepted, {duplicates} there already, {} refused",
                self.animals.len(),
                rejected.values().sum::<usize>()
            ),
        );
        for (why, count) in rejected {
            line(&mut text, format_args!("  refused: {count} × {why}"));
        }
        text.push_str(if self.is_complete() {
            "Every reading is acknowledged."
        } else {
            "Not every reading is acknowledged: see above. Run it again: what is there already is not stored twice."
        });
        text
    }
}

impl Sent {
    /// Readings that are on disk now.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.accepted + self.duplicates
    }

    fn note(&mut self, answer: Acknowledged) {
        self.accepted += answer.accepted;
        self.duplicates += answer.duplicates;
        for refused in answer.rejected {
            *self.rejected.entry(format!("{}: {}", refused.field, refused.reason)).or_default() += 1;
        }
    }
}

/// An animal with its collar on.
#[derive(Debug)]
pub struct Wearer {
    /// What became of its readings so far.
    pub sent: Sent,
    secret: SecretString,
    token: SecretString,
}

impl Wearer {
    /// Signs a collar in.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn sign_in(
        client: &Client,
        name: &str,
        pet_id: String,
        collar_id: &str,
        secret: SecretString,
        listener: Listener<'_>,
    ) -> Result<Self, Error> {
        let token = persist(listener, || client.collar_token(collar_id, &secret)).await?;
        let sent = Sent { name: name.to_owned(), pet_id, collar_id: collar_id.to_owned(), ..Sent::default() };
        Ok(Self { sent, secret, token })
    }

    /// Posts a batch until it is acknowledged, with a new token where the old one has run out; what became of it is in
    /// `sent`.
    ///
    /// # Errors
    ///
    /// The last [`Error`], where it is given up. The batch may have been stored all the same, and may be sent again.
    pub async fn post<R: Serialize + Sync>(
        &mut self,
        client: &Client,
        batch: &[R],
        listener: Listener<'_>,
    ) -> Result<(), Error> {
        let answer = match persist(listener, || client.ingest(&self.token, batch)).await {
            Err(error) if error.status() == Some(401) => {
                let collar_id = &self.sent.collar_id;
                self.token = persist(listener, || client.collar_token(collar_id, &self.secret)).await?;
                persist(listener, || client.ingest(&self.token, batch)).await?
            }
            answer => answer?,
        };
        self.sent.note(answer);
        listener(News::Acknowledged(batch.len()));
        Ok(())
    }
}

/// Pairs a collar that the pet has worn since `start`; answers its secret. The same `key` pairs it once.
///
/// # Errors
///
/// Any [`Error`].
pub async fn pair(
    client: &Client,
    token: &SecretString,
    pet_id: &str,
    collar_id: &str,
    start: Timestamp,
    key: &str,
    listener: Listener<'_>,
) -> Result<SecretString, Error> {
    match persist(listener, || client.pair_collar(token, pet_id, collar_id, start, key)).await {
        // The answer with the secret was lost on its way.
        Err(error) if error.code() == "SECRET_ALREADY_SHOWN" => {
            persist(listener, || client.rotate_secret(token, pet_id, collar_id)).await
        }
        paired => paired,
    }
}

pub(crate) fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _infallible = writeln!(text, "{words}");
}
