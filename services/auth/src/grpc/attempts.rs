//! Attempts to prove who somebody is, beside signing in: a passphrase asked again, a second factor's code, a secret of ours
//! that is wrong.
//!
//! Invariant: each is counted before it is tried, but for secrets that cannot be guessed: those are counted once they were
//! wrong, so that a right one always passes, whoever else is behind the same address.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Tx;
use petty_chassis::types::AccountId;

use super::Grpc;
use crate::domain::Error;
use crate::domain::account::{Email, Passphrase};
use crate::domain::second_factor::{Code, Secret};
use crate::domain::throttle::Counter;
use crate::seal;
use crate::store::audit::{self, Actor, Entry, Outcome};
use crate::store::{accounts, devices, second_factors};
use crate::throttle::{Subject, Throttle};
use crate::vault::Field;

impl Grpc {
    /// Asks somebody who is signed in for their passphrase again; the hash that it was compared with.
    ///
    /// # Errors
    /// `PASSWORD_WRONG`, `TOO_MANY_ATTEMPTS`, `SIGN_IN_LOCKED` or `SIGN_IN_BUSY`.
    pub(super) async fn confirm_passphrase(
        &self,
        call: &Call,
        account: AccountId,
        password: Passphrase,
        action: &'static str,
    ) -> Result<String, ApiError> {
        self.passwords.expect_room()?;
        let now = self.now();
        let subject = self.throttle.account(Counter::Confirmation, account);
        let hash = self
            .db
            .transaction("ask_again", |tx| async move {
                self.throttle.count(&tx, &subject, now).await?;
                Ok::<_, ApiError>(accounts::password_hash(&tx, account).await?)
            })
            .await?;
        let verified = match self.passwords.verify(password, hash.clone(), call.deadline()).await {
            Ok(verified) => verified,
            Err(error) => {
                self.take_back(&[subject]).await?;
                return Err(error);
            }
        };
        let Some(hash) = hash.filter(|_| verified.is_right()) else {
            return Err(self.not_confirmed(call, account, action, Error::PasswordWrong).await);
        };
        self.db
            .transaction(
                "forget_failures",
                |tx| async move { Throttle::succeeded(&tx, &[subject], now).await },
            )
            .await?;
        Ok(hash)
    }

    /// Notes that somebody who is signed in did not prove again who they are.
    pub(super) async fn not_confirmed(
        &self,
        call: &Call,
        account: AccountId,
        action: &'static str,
        why: Error,
    ) -> ApiError {
        let done = Entry::done(Actor::Account(account), action, account, self.origin(call));
        let (entry, now) = (&Entry { outcome: Outcome::Refused, ..done }, self.now());
        let noted = self
            .db
            .transaction("audit_refusal", |tx| async move { audit::write(&tx, now, entry).await })
            .await;
        noted.err().map_or_else(|| why.into(), ApiError::from)
    }

    /// Counts an attempt at an account's passphrase that is no log-in, whatever link it came with; to be forgotten in the
    /// transaction of its success.
    pub(super) async fn count_confirmation(&self, account: AccountId) -> Result<Subject, ApiError> {
        let (now, subject) = (self.now(), self.throttle.account(Counter::Confirmation, account));
        self.db
            .transaction(
                "count_confirmation",
                |tx| async move { self.throttle.count(&tx, &subject, now).await },
            )
            .await?;
        Ok(subject)
    }

    /// Counts an attempt that could tell something, or costs something, against where it comes from; to be taken back in
    /// the transaction of its success ([`Throttle::succeeded`]).
    pub(super) async fn count_source(&self, call: &Call) -> Result<Vec<Subject>, ApiError> {
        let now = self.now();
        let Some(subject) = self.throttle.source(Counter::Source, call.client_address()) else {
            return Ok(Vec::new());
        };
        self.db
            .transaction("count_source", |tx| async move { self.throttle.count(&tx, &subject, now).await })
            .await?;
        Ok(vec![subject])
    }

    /// An account has another passphrase: what was counted against it is forgotten, and so are the devices it knew, since
    /// somebody else may have known the one before. Not what was counted against its second factor: whoever has the mailbox
    /// would guess on with each reset.
    pub(super) async fn passphrase_changed(
        &self,
        tx: &Tx,
        account: AccountId,
        email: &Email,
    ) -> Result<(), ApiError> {
        let counted = [
            self.throttle.address(Counter::Address, email, Some(account)),
            self.throttle.account(Counter::Confirmation, account),
        ];
        Throttle::succeeded(tx, &counted, self.now()).await?;
        devices::forget_of(tx, account).await?;
        Ok(())
    }

    /// Takes back what was counted, where nothing was tried.
    pub(super) async fn take_back(&self, subjects: &[Subject]) -> Result<(), ApiError> {
        let now = self.now();
        self.db
            .transaction("take_back", |tx| async move { Throttle::take_back(&tx, subjects, now).await })
            .await
    }

    /// Whether a code is right for an account's second factor, in a transaction of its own: counted, tried and used up at
    /// once. A recovery code is not counted: nobody can guess one, and it is what is left to an owner once others have used
    /// up all attempts. A right code forgets what was counted.
    pub(super) async fn use_code(
        &self,
        account: AccountId,
        subject: Subject,
        code: &Code,
    ) -> Result<bool, ApiError> {
        let now = self.now();
        self.db
            .transaction("use_code", |tx| async move {
                let right = match code {
                    Code::Recovery(code) => {
                        second_factors::use_recovery_code(&tx, account, &seal::digest(code), now).await?
                    }
                    Code::Shown(code) => {
                        self.throttle.count(&tx, &subject, now).await?;
                        match self.secret_of(&tx, account).await? {
                            Some(secret) => match secret.step_of(code, now) {
                                Some(step) => second_factors::use_step(&tx, account, step).await?,
                                None => false,
                            },
                            None => false,
                        }
                    }
                };
                if right {
                    Throttle::succeeded(&tx, &[subject], now).await?;
                }
                Ok(right)
            })
            .await
    }

    async fn secret_of(&self, tx: &Tx, account: AccountId) -> Result<Option<Secret>, ApiError> {
        let Some(factor) = second_factors::lock(tx, account).await? else { return Ok(None) };
        self.open_secret(tx, account, &factor.secret_sealed).await.map(Some)
    }

    pub(super) async fn open_secret(
        &self,
        tx: &Tx,
        account: AccountId,
        sealed: &[u8],
    ) -> Result<Secret, ApiError> {
        let text = self.vault.open_for(tx, account, Field::SECOND_FACTOR, sealed).await?;
        Secret::stored(&text).ok_or_else(|| ApiError::internal("a second factor's secret cannot be read"))
    }

    /// Counts a wrong secret against where it came from.
    ///
    /// # Errors
    /// `TOO_MANY_ATTEMPTS`, where there were too many: then it is not worth an audit entry either.
    pub(super) async fn wrong_secret(&self, call: &Call) -> Result<(), ApiError> {
        let now = self.now();
        let Some(subject) = &self.throttle.source(Counter::SourceOfSecrets, call.client_address()) else {
            return Ok(());
        };
        self.db
            .transaction("wrong_secret", |tx| async move { self.throttle.count(&tx, subject, now).await })
            .await
    }
}
