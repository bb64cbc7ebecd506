/// Reads a quantity of bytes, such as `246Gi`, `1.5G` or `1e9`; rounds up to whole bytes, as the API server does.
/// None where it is not a quantity, is negative, or more than 64 bits hold.
///
/// The grammar: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
pub(crate) fn parse_bytes(text: &str) -> Option<u64> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '+'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (numerator, denominator) = scale(suffix)?;
    let (whole, fraction) = number
        .strip_prefix('+')
        .unwrap_or(number)
        .split_once('.')
        .unwrap_or((number.strip_prefix('+').unwrap_or(number), ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let mantissa: u128 = digits.parse().ok()?;
    let below = 10_u128
        .checked_pow(u32::try_from(fraction.len()).ok()?)?
        .checked_mul(denominator)?;
    u64::try_from(mantissa.checked_mul(numerator)?.div_ceil(below)).ok()
}

/// What a suffix multiplies by, as a fraction.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    let power = |base: u128, exponent: u32| base.checked_pow(exponent).map(|value| (value, 1));
    match suffix {
        "" => power(1, 1),
        "n" => Some((1, 1_000_000_000)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => power(1_000, 1),
        "M" => power(1_000, 2),
        "G" => power(1_000, 3),
        "T" => power(1_000, 4),
        "P" => power(1_000, 5),
        "E" => power(1_000, 6),
        "Ki" => power(1_024, 1),
        "Mi" => power(1_024, 2),
        "Gi" => power(1_024, 3),
        "Ti" => power(1_024, 4),
        "Pi" => power(1_024, 5),
        "Ei" => power(1_024, 6),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let (factor, _) = power(10, exponent.unsigned_abs())?;
            Some(if exponent < 0 { (1, factor) } else { (factor, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_read_in_every_spelling_of_the_api() {
        for (text, bytes) in [
            ("294205259776", 294_205_259_776),
            ("273Gi", 273 << 30),
            ("54Mi", 54 << 20),
            ("1.5Gi", 3 << 29),
            ("300G", 300_000_000_000),
            ("1.9T", 1_900_000_000_000),
            ("1e9", 1_000_000_000),
            ("3E2", 300),
            ("2E", 2_000_000_000_000_000_000),
            ("+5Ki", 5_120),
            ("1500m", 2),
            (".5k", 500),
            ("5.", 5),
            ("25e-1", 3),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_of_bytes_is_none() {
        for text in [
            "", "Gi", "-1Gi", "1 Gi", "1GiB", "1.2.3", "e9", "1e", "1e99", "16Ei", "1++1",
        ] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
