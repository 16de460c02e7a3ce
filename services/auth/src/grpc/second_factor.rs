//! SecondFactorService.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{Call, SecondFactorServiceHandler};
use petty_chassis::postgres::Tx;
use petty_chassis::types::AccountId;
use petty_proto::auth::v1 as wire;

use super::Grpc;
use super::errors::Fields;
use crate::domain::Error;
use crate::domain::account::Passphrase;
use crate::domain::second_factor::{self, Code, RECOVERY_CODES, Secret};
use crate::domain::throttle::Counter;
use crate::seal;
use crate::store::audit::{self, Actor, Entry};
use crate::store::{access, accounts, second_factors};
use crate::throttle::Throttle;
use crate::vault::Field;

/// Recovery codes, as they are shown and as they are kept.
struct NewCodes {
    shown: Vec<String>,
    kept: Vec<[u8; 32]>,
}

impl Grpc {
    fn new_codes(&self) -> NewCodes {
        let codes = (0..RECOVERY_CODES).map(|_| second_factor::recovery_code(self.entropy.bytes()));
        let (shown, kept) = codes.map(|(shown, compared)| (shown, seal::digest(&compared))).unzip();
        NewCodes { shown, kept }
    }

    /// Asks somebody who is signed in for both factors again; the hash of the passphrase.
    async fn confirm_both(
        &self,
        call: &Call,
        account: AccountId,
        (password, otp): (Passphrase, &Code),
        action: &'static str,
    ) -> Result<String, ApiError> {
        let hash = self.confirm_passphrase(call, account, password, action).await?;
        self.confirm_code(call, account, otp, action).await?;
        Ok(hash)
    }

    /// Asks somebody who is signed in, and has a second factor, for a code.
    ///
    /// # Errors
    /// `OTP_INVALID`, `TOO_MANY_ATTEMPTS` or `SIGN_IN_LOCKED`.
    pub(super) async fn confirm_code(
        &self,
        call: &Call,
        account: AccountId,
        otp: &Code,
        action: &'static str,
    ) -> Result<(), ApiError> {
        let subject = self.throttle.account(Counter::SecondFactor, account);
        if self.use_code(account, subject, otp).await? {
            return Ok(());
        }
        if let Code::Recovery(_) = otp {
            self.wrong_secret(call).await?;
        }
        Err(self.not_confirmed(call, account, action, Error::OtpInvalid).await)
    }

    async fn active(&self, account: AccountId) -> Result<(), ApiError> {
        let active = self
            .db
            .read("second_factor", |tx| async move { second_factors::active_since(&tx, account).await })
            .await?;
        Ok(active.map(|_| ()).ok_or(Error::NoSecondFactor)?)
    }

    async fn note(
        &self,
        tx: &Tx,
        call: &Call,
        account: AccountId,
        action: &'static str,
    ) -> Result<(), ApiError> {
        let entry = Entry::done(Actor::Account(account), action, account, self.origin(call));
        Ok(audit::write(tx, self.now(), &entry).await?)
    }
}

#[tonic::async_trait]
impl SecondFactorServiceHandler for Grpc {
    async fn get_second_factor(
        &self,
        call: Call,
        _request: wire::GetSecondFactorRequest,
    ) -> Result<wire::SecondFactor, ApiError> {
        let account = call.caller().await?.account_id();
        let (since, left) = self
            .db
            .read("get_second_factor", |tx| async move {
                let since = second_factors::active_since(&tx, account).await?;
                let left = second_factors::recovery_codes_left(&tx, account).await?;
                Ok::<_, ApiError>((since, left))
            })
            .await?;
        Ok(wire::SecondFactor {
            active: since.is_some(),
            confirm_time: since.map(Into::into),
            recovery_codes_left: left,
        })
    }

    async fn enrol_second_factor(
        &self,
        call: Call,
        request: wire::EnrolSecondFactorRequest,
    ) -> Result<wire::EnrolSecondFactorResponse, ApiError> {
        const ACTION: &str = "ENROL_SECOND_FACTOR";
        let mut fields = Fields::default();
        let password = fields.take("password", Passphrase::attempt(&request.password));
        let Some(password) = password else { return Err(fields.into_error()) };
        let account = call.caller().await?.account_id();
        self.confirm_passphrase(&call, account, password, ACTION).await?;
        let secret = Secret::new(self.entropy.bytes());
        let text = &secret.text();
        let (call, now) = (&call, self.now());
        let subject = self.throttle.account(Counter::SecondFactor, account);
        let email = self
            .db
            .transaction("enrol_second_factor", |tx| async move {
                let known = accounts::get(&tx, &self.vault, account).await?.ok_or(Error::SessionEnded)?;
                let sealed = self.vault.seal_for(&tx, account, Field::SECOND_FACTOR, text).await?;
                if !second_factors::enrol(&tx, account, &sealed, now).await? {
                    return Err(Error::SecondFactorActive.into());
                }
                // What was wrong for the secret before tells nothing about this one.
                Throttle::succeeded(&tx, &[subject], now).await?;
                self.note(&tx, call, account, ACTION).await?;
                Ok::<_, ApiError>(known.email)
            })
            .await?;
        Ok(wire::EnrolSecondFactorResponse { secret: text.clone(), otpauth_uri: secret.uri(&email) })
    }

    async fn confirm_second_factor(
        &self,
        call: Call,
        request: wire::ConfirmSecondFactorRequest,
    ) -> Result<wire::RecoveryCodes, ApiError> {
        const ACTION: &str = "CONFIRM_SECOND_FACTOR";
        let mut fields = Fields::default();
        let code = fields.take("otp", Code::parse(&request.otp));
        let Some(code) = &code else { return Err(fields.into_error()) };
        let caller = call.caller().await?;
        let (account, session) = (caller.account_id(), caller.session_id());
        let (call, now, codes) = (&call, self.now(), &self.new_codes());
        let subject = self.throttle.account(Counter::SecondFactor, account);
        let confirmed = self
            .db
            .transaction("confirm_second_factor", |tx| async move {
                // A factor of whoever was signed out by a reset meanwhile would keep its owner out.
                accounts::lock_password_hash(&tx, account).await?.ok_or(Error::SessionEnded)?;
                access::session_stands(&tx, session, account, &[], now).await?.ok_or(Error::SessionEnded)?;
                self.throttle.count(&tx, &subject, now).await?;
                let factor = second_factors::lock(&tx, account).await?.ok_or(Error::NoSecondFactor)?;
                if factor.confirmed_at.is_some() {
                    return Err(Error::SecondFactorActive.into());
                }
                let step = match code {
                    Code::Shown(code) => {
                        self.open_secret(&tx, account, &factor.secret_sealed).await?.step_of(code, now)
                    }
                    Code::Recovery(_) => None,
                };
                // What was wrong stays counted.
                let Some(step) = step else { return Ok(false) };
                second_factors::confirm(&tx, account, step, now).await?;
                second_factors::renew_recovery_codes(&tx, account, &codes.kept).await?;
                Throttle::succeeded(&tx, &[subject], now).await?;
                self.note(&tx, call, account, ACTION).await?;
                Ok::<_, ApiError>(true)
            })
            .await?;
        if !confirmed {
            return Err(self.not_confirmed(call, account, ACTION, Error::OtpInvalid).await);
        }
        Ok(wire::RecoveryCodes { recovery_codes: codes.shown.clone() })
    }

    async fn renew_recovery_codes(
        &self,
        call: Call,
        request: wire::RenewRecoveryCodesRequest,
    ) -> Result<wire::RecoveryCodes, ApiError> {
        const ACTION: &str = "RENEW_RECOVERY_CODES";
        let (password, otp) = both(&request.password, &request.otp)?;
        let account = call.caller().await?.account_id();
        self.active(account).await?;
        let hash = &self.confirm_both(&call, account, (password, &otp), ACTION).await?;
        let (call, codes) = (&call, &self.new_codes());
        self.db
            .transaction("renew_recovery_codes", |tx| async move {
                // Nor are codes made by whoever knew the passphrase before it was changed meanwhile.
                if accounts::lock_password_hash(&tx, account).await?.as_ref() != Some(hash) {
                    return Err(Error::PasswordWrong.into());
                }
                let factor = second_factors::lock(&tx, account).await?;
                factor.filter(|factor| factor.confirmed_at.is_some()).ok_or(Error::NoSecondFactor)?;
                second_factors::renew_recovery_codes(&tx, account, &codes.kept).await?;
                self.note(&tx, call, account, ACTION).await
            })
            .await?;
        Ok(wire::RecoveryCodes { recovery_codes: codes.shown.clone() })
    }

    async fn remove_second_factor(
        &self,
        call: Call,
        request: wire::RemoveSecondFactorRequest,
    ) -> Result<wire::SecondFactor, ApiError> {
        const ACTION: &str = "REMOVE_SECOND_FACTOR";
        let (password, otp) = both(&request.password, &request.otp)?;
        let account = call.caller().await?.account_id();
        self.active(account).await?;
        let enough = password.is_enough_alone();
        let hash = &self.confirm_both(&call, account, (password, &otp), ACTION).await?;
        if !enough {
            return Err(Error::PassphraseTooShort.into());
        }
        let call = &call;
        self.db
            .transaction("remove_second_factor", |tx| async move {
                // Changed meanwhile, it may be a shorter one.
                if accounts::lock_password_hash(&tx, account).await?.as_ref() != Some(hash) {
                    return Err(Error::PasswordWrong.into());
                }
                if !second_factors::remove(&tx, account).await? {
                    return Err(Error::NoSecondFactor.into());
                }
                self.note(&tx, call, account, ACTION).await
            })
            .await?;
        Ok(wire::SecondFactor { active: false, confirm_time: None, recovery_codes_left: 0 })
    }
}

fn both(password: &str, otp: &str) -> Result<(Passphrase, Code), ApiError> {
    let mut fields = Fields::default();
    let password = fields.take("password", Passphrase::attempt(password));
    let otp = fields.take("otp", Code::parse(otp));
    match (password, otp) {
        (Some(password), Some(otp)) => Ok((password, otp)),
        _ => Err(fields.into_error()),
    }
}
