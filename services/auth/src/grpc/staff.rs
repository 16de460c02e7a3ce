//! StaffService.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{Call, StaffServiceHandler};
use petty_chassis::page::{Page, Place};
use petty_chassis::types::AccountId;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::staff_member::Role as WireRole;
use serde_json::json;

use super::Grpc;
use super::errors::Fields;
use crate::domain::staff::{self as domain, PlatformRole};
use crate::domain::{Error, Problem};
use crate::store::audit::{self, Actor, Entry};
use crate::store::staff;
use crate::{announce, revocation};

#[tonic::async_trait]
impl StaffServiceHandler for Grpc {
    async fn list_staff(
        &self,
        call: Call,
        request: wire::ListStaffRequest,
    ) -> Result<wire::ListStaffResponse, ApiError> {
        let page = &Page::read("staff".to_owned(), request.page_size, &request.page_token)?;
        call.caller().await?;
        let found = self.db.read("list_staff", |tx| async move { staff::list(&tx, page).await });
        let mut found = found.await?;
        let next_page_token =
            page.cut(&mut found, |member| Place { time: member.created_at, id: member.account_id.0 });
        let staff = found.iter().map(|found| member(found.account_id, &found.roles)).collect();
        Ok(wire::ListStaffResponse { staff, next_page_token })
    }

    async fn grant_role(
        &self,
        call: Call,
        request: wire::GrantRoleRequest,
    ) -> Result<wire::StaffMember, ApiError> {
        let (account, role) = named(&request.account_id, request.role)?;
        let admin = call.caller().await?.account_id();
        let (now, origin) = (self.now(), self.origin(&call));
        self.db
            .transaction("grant_role", |tx| async move {
                staff::lock(&tx).await?;
                staff::roles(&tx, account).await?.ok_or(Error::AccountNotFound)?;
                // Sent again, it changes nothing, and there is nothing to tell.
                if staff::grant(&tx, account, role).await? {
                    announce::account_changed(&tx, &self.clock, account).await?;
                    let entry = Entry::done(Actor::Account(admin), "GRANT_ROLE", account, origin)
                        .with(json!({"role": role.as_str()}));
                    audit::write(&tx, now, &entry).await?;
                }
                let roles = staff::roles(&tx, account).await?.ok_or(Error::AccountNotFound)?;
                Ok(member(account, &roles))
            })
            .await
    }

    async fn withdraw_role(
        &self,
        call: Call,
        request: wire::WithdrawRoleRequest,
    ) -> Result<wire::StaffMember, ApiError> {
        let (account, role) = named(&request.account_id, request.role)?;
        let admin = call.caller().await?.account_id();
        let (now, origin) = (self.now(), self.origin(&call));
        let (member, told) = self
            .db
            .transaction("withdraw_role", |tx| async move {
                staff::lock(&tx).await?;
                let roles = staff::roles(&tx, account).await?.ok_or(Error::AccountNotFound)?;
                let has_it = roles.iter().any(|held| held == role.as_str());
                domain::may_withdraw(role, has_it, staff::admins(&tx).await?)?;
                if has_it {
                    staff::withdraw(&tx, account, role).await?;
                    let entry = Entry::done(Actor::Account(admin), "WITHDRAW_ROLE", account, origin)
                        .with(json!({"role": role.as_str()}));
                    audit::write(&tx, now, &entry).await?;
                }
                // Sent again, it is told again: whoever sends it waits for that.
                let told = announce::account_changed(&tx, &self.clock, account).await?;
                let roles = staff::roles(&tx, account).await?.ok_or(Error::AccountNotFound)?;
                Ok::<_, ApiError>((member(account, &roles), told))
            })
            .await?;
        revocation::told(&self.db, &self.clock, &[told], call.deadline()).await?;
        Ok(member)
    }
}

/// The account and the role that a request names.
fn named(account: &str, role: i32) -> Result<(AccountId, PlatformRole), ApiError> {
    let mut fields = Fields::default();
    let account = fields.parse("account_id", account);
    let role = fields.take("role", platform_role(role));
    match (account, role) {
        (Some(account), Some(role)) => Ok((account, role)),
        _ => Err(fields.into_error()),
    }
}

fn platform_role(value: i32) -> Result<PlatformRole, Problem> {
    match WireRole::try_from(value) {
        Ok(WireRole::Support) => Ok(PlatformRole::Support),
        Ok(WireRole::Admin) => Ok(PlatformRole::Admin),
        Ok(WireRole::Unspecified) => Err(Problem::REQUIRED),
        Err(_) => Err(Problem::malformed("must be SUPPORT or ADMIN")),
    }
}

fn member(account: AccountId, roles: &[String]) -> wire::StaffMember {
    let roles = roles.iter().filter_map(|role| PlatformRole::parse(role)).map(|role| match role {
        PlatformRole::Support => WireRole::Support.into(),
        PlatformRole::Admin => WireRole::Admin.into(),
    });
    wire::StaffMember { account_id: account.to_string(), roles: roles.collect() }
}
