//! Every service in one binary, so that tests need no nested builds: `petty-node auth`.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "there is no log before a service was chosen")]
fn main() -> ExitCode {
    let service = std::env::args().nth(1).unwrap_or_default();
    match service.as_str() {
        "auth" => petty_chassis::main::<petty_auth::Auth>(),
        "ingest" => petty_chassis::main::<petty_ingest::Ingest>(),
        "behavior" => petty_chassis::main::<petty_behavior::Behavior>(),
        "nutrition" => petty_chassis::main::<petty_nutrition::Nutrition>(),
        "timeline" => petty_chassis::main::<petty_timeline::Timeline>(),
        "feedback" => petty_chassis::main::<petty_feedback::Feedback>(),
        "gateway" => petty_chassis::main::<petty_gateway::Gateway>(),
        _ => {
            eprintln!(
                "petty-node: no service {service:?}; there are {}, {}",
                petty::mesh::SERVICES.join(", "),
                petty::mesh::GATEWAY
            );
            ExitCode::from(64)
        }
    }
}
