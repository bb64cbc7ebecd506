use std::env;
use std::str::FromStr;

use tidegate_domain::error::{Error, Result};

/// Reads the configuration of a function from its environment, once, at its start.
pub struct Settings<Lookup = fn(&str) -> Option<String>> {
    lookup: Lookup,
}

impl Settings {
    /// The settings in the environment of this process.
    #[must_use]
    pub fn from_environment() -> Self {
        Self {
            lookup: |name| env::var(name).ok(),
        }
    }
}

impl<Lookup: Fn(&str) -> Option<String>> Settings<Lookup> {
    /// The settings that a lookup finds.
    pub const fn new(lookup: Lookup) -> Self {
        Self { lookup }
    }

    /// A text that may not be missing or empty.
    pub fn text(&self, name: &str) -> Result<String> {
        self.optional(name)
            .ok_or_else(|| Error::invalid(name, "an empty or missing value", "a text"))
    }

    /// A text; none where it is missing or empty.
    pub fn optional(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// A whole number, such as of seconds.
    pub fn number<N: FromStr>(&self, name: &str) -> Result<N> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| Error::invalid(name, format_args!("{text:?}"), "a whole number, 0 or more"))
    }

    /// `true` or `false`.
    pub fn switch(&self, name: &str) -> Result<bool> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|_| Error::invalid(name, format_args!("{text:?}"), "true or false"))
    }

    /// Texts between commas, none of them empty; no text where the value is missing or empty.
    pub fn optional_list(&self, name: &str) -> Result<Vec<String>> {
        self.optional(name)
            .map_or_else(|| Ok(Vec::new()), |_| self.list(name))
    }

    /// Texts between commas; none of them empty, at least one.
    pub fn list(&self, name: &str) -> Result<Vec<String>> {
        let text = self.text(name)?;
        let items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
        if items.iter().any(String::is_empty) {
            return Err(Error::invalid(
                name,
                format_args!("{text:?}"),
                "a list of texts between commas",
            ));
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(value: &'static str) -> Settings<impl Fn(&str) -> Option<String>> {
        Settings::new(move |_| Some(value.to_owned()))
    }

    #[test]
    fn a_missing_setting_is_named() {
        let error = Settings::new(|_| None).text("CLUSTER_NAME").expect_err("missing");
        assert_eq!(
            error.message,
            "CLUSTER_NAME: an empty or missing value is not a text"
        );
    }

    #[test]
    fn an_empty_setting_that_may_be_missing_is_none() {
        assert_eq!(settings("").optional("CLUSTER_AUTOSCALER_IMAGE"), None);
        assert_eq!(
            settings("a").optional("CLUSTER_AUTOSCALER_IMAGE"),
            Some("a".into())
        );
    }

    #[test]
    fn a_number_that_is_none_is_named_with_its_value() {
        assert_eq!(settings("20").number::<u32>("WATCH_SECONDS"), Ok(20));
        let error = settings("-1")
            .number::<u32>("WATCH_SECONDS")
            .expect_err("negative");
        assert_eq!(
            error.message,
            "WATCH_SECONDS: \"-1\" is not a whole number, 0 or more"
        );
    }

    #[test]
    fn a_switch_that_is_neither_true_nor_false_is_named_with_its_value() {
        assert_eq!(settings("true").switch("DRAIN_ON_REBALANCE"), Ok(true));
        assert_eq!(settings("false").switch("DRAIN_ON_REBALANCE"), Ok(false));
        let error = settings("yes").switch("DRAIN_ON_REBALANCE").expect_err("neither");
        assert_eq!(error.message, "DRAIN_ON_REBALANCE: \"yes\" is not true or false");
    }

    #[test]
    fn a_list_has_no_empty_places() {
        assert_eq!(settings("a, b").list("GROUPS"), Ok(vec!["a".into(), "b".into()]));
        assert!(settings("a,,b").list("GROUPS").is_err());
        assert!(settings("").list("GROUPS").is_err());
    }

    #[test]
    fn a_list_that_may_be_missing_is_empty_then_and_has_no_empty_places_else() {
        assert_eq!(settings("").optional_list("ALLUXIO_MASTERS"), Ok(vec![]));
        assert_eq!(
            settings("a:1,b:1").optional_list("ALLUXIO_MASTERS"),
            Ok(vec!["a:1".into(), "b:1".into()])
        );
        assert!(settings("a:1,").optional_list("ALLUXIO_MASTERS").is_err());
    }
}
