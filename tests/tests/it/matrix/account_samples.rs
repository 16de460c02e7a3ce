//! Good requests of the methods that are about the caller's own account, and of those that operate auth.

use petty_proto::policy::MethodPolicy;
use petty_tests::forge::Draft;
use petty_tests::rest::{Account, PASSWORD};
use petty_tests::totp;
use serde_json::{Value, json};

use super::samples::{Purpose, fresh};
use super::scene::Scene;

impl Scene {
    /// A good request of a method, if it is one of these. Of secrets that are mailed it has none: those methods take nobody's
    /// token, and refuse everybody without the secret.
    pub(super) async fn of_the_account(
        &self,
        policy: &MethodPolicy,
        purpose: Purpose,
        account: &Account,
    ) -> Option<Value> {
        let allowed = purpose == Purpose::Allowed;
        Some(match policy.method {
            "UpdateMe" => json!({"name": format!("Name {}", fresh())}),
            "VerifyEmail" | "ConfirmReset" => json!({"token": "x".repeat(43), "password": PASSWORD}),
            "ResendVerification" | "RequestReset" => {
                json!({"email": format!("nobody{}@example.com", fresh())})
            }
            "ChangePassword" => {
                json!({"current_password": PASSWORD, "new_password": "another horse, another battery, another staple"})
            }
            "ChangeEmail" => {
                json!({"email": format!("changed{}@example.com", fresh()), "current_password": PASSWORD})
            }
            "EndSession" => json!({"session_id": Draft::of(&account.token).claims["sid"]}),
            "CloseAccount" | "EnrolSecondFactor" => json!({"password": PASSWORD}),
            "ConfirmSecondFactor" if allowed => json!({"otp": totp::code(&self.enrol(account).await, 0)}),
            "ConfirmSecondFactor" => json!({"otp": "000000"}),
            "RenewRecoveryCodes" | "RemoveSecondFactor" if allowed => {
                let secret = self.enrol(account).await;
                // Each code is good once: the one of the time before is used up first.
                let body = json!({"otp": totp::code(&secret, -1)});
                self.client.post("/v1/me/otp:confirm", &account.token, &body).await.good();
                json!({"password": PASSWORD, "otp": totp::code(&secret, 0)})
            }
            "RenewRecoveryCodes" | "RemoveSecondFactor" => json!({"password": PASSWORD, "otp": "000000"}),
            "RevokeToken" if allowed => json!({"token": self.client.sign_up().await.refresh}),
            "RevokeToken" => json!({"token": "x".repeat(43)}),
            "IntrospectToken" => json!({"token": self.owner.token}),
            "RotateSigningKeys" => json!({"kid": Draft::of(&self.owner.token).header["kid"]}),
            "ListSessions" | "EndOtherSessions" | "GetSecondFactor" | "GetServerMetadata"
            | "ListSigningKeys" | "ReencryptData" | "VerifyAuditLog" => json!({}),
            _ => return None,
        })
    }

    /// Begins with a second factor; its secret.
    async fn enrol(&self, account: &Account) -> String {
        let body = json!({"password": PASSWORD});
        let enrolled = self.client.post("/v1/me/otp", &account.token, &body).await.good();
        enrolled["secret"].as_str().unwrap().to_owned()
    }
}
