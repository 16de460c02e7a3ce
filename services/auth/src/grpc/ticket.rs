//! Tickets for streams: what a browser shows in place of a token, where it can send no header.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::Call;
use petty_proto::auth::v1 as wire;

use super::Grpc;
use super::token::LONGEST_SECRET;
use crate::domain::{Error, session};
use crate::seal;
use crate::signer::Granted;
use crate::store::tickets::{self, Redeemed};

/// What a token may do that a ticket gave. The ticket's session may do that, or it would have got none.
const SCOPE: &str = "pets:read";

impl Grpc {
    pub(super) async fn issue_ticket(
        &self,
        call: &Call,
    ) -> Result<wire::IssueStreamTicketResponse, ApiError> {
        let session_id = call.caller().await?.session_id();
        let now = self.now();
        let ticket = self.entropy.token::<32>();
        let hash = &seal::digest(&ticket);
        self.db
            .transaction("issue_ticket", |tx| async move {
                tickets::forget_expired_of(&tx, session_id, now).await?;
                tickets::add(&tx, hash, session_id, now + session::TICKET).await
            })
            .await?;
        let expires_in = i32::try_from(session::TICKET.as_secs()).map_err(ApiError::internal)?;
        Ok(wire::IssueStreamTicketResponse { ticket, expires_in })
    }

    pub(super) async fn redeem_ticket(
        &self,
        call: &Call,
        request: &wire::RedeemStreamTicketRequest,
    ) -> Result<wire::RedeemStreamTicketResponse, ApiError> {
        // Whatever is not a ticket of ours, whichever way, is answered alike.
        if request.ticket.len() > LONGEST_SECRET {
            self.wrong_secret(call).await?;
            return Err(Error::TicketInvalid.into());
        }
        let now = self.now();
        let hash = &seal::digest(&request.ticket);
        let redeemed = self
            .db
            .transaction("redeem_ticket", |tx| async move { tickets::redeem(&tx, hash, now).await })
            .await?;
        let Some(Redeemed { session_id, account_id, expires_at }) = redeemed else {
            self.wrong_secret(call).await?;
            return Err(Error::TicketInvalid.into());
        };
        let granted = Granted { scope: SCOPE, roles: &[], integration: false };
        let minted = self.minter.account((account_id, session_id), granted, now, expires_at)?;
        Ok(wire::RedeemStreamTicketResponse { access_token: minted.token, expires_in: minted.expires_in })
    }
}
