//! The nutrition service as a process of its own.

fn main() -> std::process::ExitCode {
    petty_chassis::main::<petty_nutrition::Nutrition>()
}
