//! Signing in.
//!
//! Invariants: an attempt is counted before its passphrase is hashed, so that one that is throttled costs no hash; known and
//! unknown addresses are counted and answered alike, after the same work; that there is a second factor is told to nobody
//! who does not know the passphrase.

use jiff::Timestamp;
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Tx;
use petty_chassis::types::AccountId;
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::Fields;
use super::token::LONGEST_SECRET;
use super::{Grpc, token};
use crate::domain::account::{Email, Passphrase};
use crate::domain::second_factor::Code;
use crate::domain::throttle::Counter;
use crate::domain::{self, Error};
use crate::passwords::Verified;
use crate::seal;
use crate::store::accounts::{self, Credentials};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{devices, second_factors, sessions};
use crate::throttle::{Subject, Throttle};

/// What somebody shows.
struct Shown {
    email: Email,
    password: Passphrase,
    otp: Option<Code>,
    /// The hash of the device's token.
    device: Option<[u8; 32]>,
}

/// An attempt that is counted.
struct Attempt {
    known: Option<Credentials>,
    /// The device, if the account knows it.
    device: Option<[u8; 32]>,
    counted: Vec<Subject>,
}

/// What a log-in was proved by.
#[derive(Clone, Copy)]
enum Proof {
    /// The passphrase: there is no second factor.
    Passphrase,
    /// The passphrase and the code that an authenticator shows.
    Code,
    /// The passphrase and a recovery code.
    RecoveryCode,
}

/// What became of a log-in that proved all there is to prove.
enum Outcome {
    /// A session is open.
    In(Box<wire::TokenResponse>),
    /// Meanwhile the account has this hash; none where it is closed.
    Changed(Option<String>),
}

impl Grpc {
    pub(super) async fn sign_in(
        &self,
        call: &Call,
        request: &wire::LogInRequest,
    ) -> Result<wire::TokenResponse, ApiError> {
        let shown = shown(request)?;
        self.passwords.expect_room()?;
        let attempt = self.admit(call, &shown).await?;
        let hash = attempt.known.as_ref().map(|known| known.password_hash.clone());
        let mut verified = match self.passwords.verify(shown.password.clone(), hash, call.deadline()).await {
            Ok(verified) => verified,
            Err(error) => {
                self.take_back(&attempt.counted).await?;
                return Err(error);
            }
        };
        let Attempt { known, device, counted } = attempt;
        let subject = known.as_ref().map(|known| known.account_id.to_string()).unwrap_or_default();
        let Some(mut known) = known.filter(|_| verified.is_right()) else {
            return Err(self.refused_credentials("LOG_IN", subject, self.origin(call)).await);
        };
        let Some(proof) = self.second_factor(call, &known, device, shown.otp.as_ref(), &counted).await?
        else {
            return Err(self.refused_credentials("LOG_IN", subject, self.origin(call)).await);
        };
        loop {
            let stronger = self.stronger(verified, shown.password.clone(), call).await;
            let hash = match self.let_in(call, (&known, proof), device, &counted, stronger.as_deref()).await?
            {
                Outcome::In(answer) => return Ok(*answer),
                Outcome::Changed(hash) => hash,
            };
            // Another hash is kept by now: of another passphrase, or made anew by another log-in.
            verified = self.passwords.verify(shown.password.clone(), hash.clone(), call.deadline()).await?;
            match hash.filter(|_| verified.is_right()) {
                Some(hash) => known.password_hash = hash,
                None => return Err(self.refused_credentials("LOG_IN", subject, self.origin(call)).await),
            }
        }
    }

    /// Counts an attempt: against the device, where the account knows it; otherwise against where it comes from and whom it
    /// is for.
    async fn admit(&self, call: &Call, shown: &Shown) -> Result<Attempt, ApiError> {
        let (now, from) = (self.now(), call.client_address());
        self.db
            .transaction("admit_log_in", |tx| async move {
                let known = accounts::credentials(&tx, &self.vault, &shown.email).await?;
                let account = known.as_ref().map(|known| known.account_id);
                if let Some(device) = &shown.device
                    && devices::is_known(&tx, device, account, now).await?
                {
                    let subject = self.throttle.device(Counter::Device, device, account);
                    if self.throttle.count_or_pass(&tx, &subject, now).await? {
                        return Ok(Attempt { known, device: shown.device, counted: vec![subject] });
                    }
                }
                let source = self.throttle.source(Counter::Source, from);
                let address = self.throttle.address(Counter::Address, &shown.email, account);
                let counted: Vec<Subject> = source.into_iter().chain([address]).collect();
                for subject in &counted {
                    self.throttle.count(&tx, subject, now).await?;
                }
                Ok::<_, ApiError>(Attempt { known, device: None, counted })
            })
            .await
    }

    /// What the log-in is proved by, with a second factor where the account has one; `None` where that is wrong.
    async fn second_factor(
        &self,
        call: &Call,
        known: &Credentials,
        device: Option<[u8; 32]>,
        otp: Option<&Code>,
        counted: &[Subject],
    ) -> Result<Option<Proof>, ApiError> {
        let account = known.account_id;
        let active = self
            .db
            .read("second_factor", |tx| async move { second_factors::active_since(&tx, account).await })
            .await?;
        if active.is_none() {
            return Ok(Some(Proof::Passphrase));
        }
        let Some(otp) = otp else { return Err(self.half_way(call, account, counted).await) };
        let subject = match &device {
            Some(device) => self.throttle.device(Counter::DeviceSecondFactor, device, Some(account)),
            None => self.throttle.account(Counter::SecondFactor, account),
        };
        let used = self.use_code(account, subject, otp).await;
        if used.is_err() {
            self.take_back(counted).await?;
        }
        let proof = match otp {
            Code::Shown(_) => Proof::Code,
            Code::Recovery(_) => Proof::RecoveryCode,
        };
        Ok(used?.then_some(proof))
    }

    /// Half a log-in: neither a failure nor a success. It is noted, since whoever asks knows the passphrase.
    async fn half_way(&self, call: &Call, account: AccountId, counted: &[Subject]) -> ApiError {
        let done = Entry::done(Actor::Anybody, "LOG_IN", account, self.origin(call));
        let entry = Entry { outcome: audit::Outcome::Refused, ..done }.with(json!({"otp": "required"}));
        let (entry, now) = (&entry, self.now());
        let noted = self.db.transaction("half_log_in", |tx| async move {
            Throttle::take_back(&tx, counted, now).await?;
            Ok::<_, ApiError>(audit::write(&tx, now, entry).await?)
        });
        noted.await.err().unwrap_or_else(|| Error::OtpRequired.into())
    }

    /// A new hash for a passphrase whose kept one is weaker than today's. There will be other log-ins: it is no reason to
    /// refuse one.
    async fn stronger(&self, verified: Verified, password: Passphrase, call: &Call) -> Option<String> {
        match verified {
            Verified::Wrong | Verified::Right => None,
            Verified::RightAndOutdated => self.passwords.hash(password, call.deadline()).await.ok(),
        }
    }

    /// Opens a session, if the hash that the passphrase was verified with is still the one that is kept. It stays so until the
    /// session is there: who changes the passphrase ends this session with the others, or comes first.
    async fn let_in(
        &self,
        call: &Call,
        (known, proof): (&Credentials, Proof),
        device: Option<[u8; 32]>,
        counted: &[Subject],
        stronger: Option<&str>,
    ) -> Result<Outcome, ApiError> {
        let scope = &domain::staff::log_in_scope(&known.scope, &known.roles);
        let opening = &self.opening(known.account_id);
        let now = opening.session.created_at;
        let new_device = &device.is_none().then(|| self.entropy.token::<32>());
        let session_id = opening.session.session_id.to_string();
        let detail = &match proof {
            Proof::Passphrase | Proof::Code => json!({"session_id": session_id}),
            Proof::RecoveryCode => json!({"session_id": session_id, "recovery_code": true}),
        };
        let changed = self
            .db
            .transaction("log_in", |tx| async move {
                let hash = accounts::lock_password_hash(&tx, known.account_id).await?;
                if hash.as_ref() != Some(&known.password_hash) {
                    return Ok(Some(hash));
                }
                Throttle::succeeded(&tx, counted, now).await?;
                if let Some(stronger) = stronger {
                    accounts::rehash(&tx, known.account_id, &known.password_hash, stronger).await?;
                }
                self.make_room(&tx, known.account_id, now, self.origin(call)).await?;
                sessions::open(&tx, &opening.session, scope, &opening.token_hash).await?;
                note_device(&tx, known, device, new_device.as_deref(), now).await?;
                let actor = Actor::Account(known.account_id);
                let entry =
                    Entry::done(actor, "LOG_IN", known.account_id, self.origin(call)).with(detail.clone());
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(None)
            })
            .await?;
        if let Some(hash) = changed {
            return Ok(Outcome::Changed(hash));
        }
        let answer = self.signed_in(opening, scope, &known.roles)?;
        let answer = wire::TokenResponse { device_token: new_device.clone(), ..answer };
        Ok(Outcome::In(Box::new(answer)))
    }
}

async fn note_device(
    tx: &Tx,
    known: &Credentials,
    device: Option<[u8; 32]>,
    new: Option<&str>,
    now: Timestamp,
) -> Result<(), ApiError> {
    if let Some(device) = &device {
        devices::came_back(tx, device, now).await?;
    }
    if let Some(new) = new {
        devices::remember(tx, &seal::digest(new), known.account_id, now).await?;
    }
    Ok(())
}

fn shown(request: &wire::LogInRequest) -> Result<Shown, ApiError> {
    let mut fields = Fields::default();
    let email = fields.take("email", Email::parse(&request.email));
    let password = fields.take("password", Passphrase::attempt(&request.password));
    let otp = request.otp.as_deref().filter(|otp| !otp.is_empty());
    let otp = otp.and_then(|otp| fields.take("otp", Code::parse(otp)));
    let device = request.device_token.as_deref().filter(|token| !token.is_empty());
    if device.is_some_and(|token| token.len() > LONGEST_SECRET) {
        fields.fault(FieldError::out_of_range("device_token", token::TOO_LONG));
    }
    fields.check()?;
    match (email, password) {
        (Some(email), Some(password)) => Ok(Shown { email, password, otp, device: device.map(seal::digest) }),
        _ => Err(fields.into_error()),
    }
}
