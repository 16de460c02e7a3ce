//! A bar that shows how far the readings are; hidden where there is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::patience::News;

/// One for so many readings.
///
/// # Errors
///
/// Never, in practice: the template is ours.
pub(crate) fn bar(readings: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} readings {per_sec}, {eta} left {msg}")?;
    Ok(ProgressBar::new(readings).with_style(style))
}

/// One for so many steps of any kind.
///
/// # Errors
///
/// Never, in practice: the template is ours.
pub(crate) fn steps(count: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} steps in {elapsed}")?;
    Ok(ProgressBar::new(count).with_style(style))
}

/// One for as many as there will be.
///
/// # Errors
///
/// Never, in practice: the template is ours.
pub(crate) fn endless() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{spinner} {pos} readings in {elapsed} {msg}")?;
    Ok(ProgressBar::no_length().with_style(style))
}

/// Shows the news.
pub(crate) fn show(bar: &ProgressBar, news: News<'_>) {
    match news {
        News::Acknowledged(count) => bar.inc(count as u64),
        News::Waiting(why) => bar.set_message(format!("(waiting: {why})")),
        News::Resumed => bar.set_message(""),
    }
}
