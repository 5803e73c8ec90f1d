//! Does the answer's `X-Robots-Tag` forbid to collect it?

use super::settings::is_token_byte;

/// What forbids it: no learning, no learning from images, no index, no image index, all of that.
const FORBIDDING: [&str; 5] = ["noai", "noimageai", "noindex", "noimageindex", "none"];

/// Rules that have a value after a colon, and so look like a user agent with its rule.
const WITH_VALUE: [&str; 4] = ["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"];

/// The first rule that forbids, to all or to `product_token`, to collect what carries these header values.
///
/// There is no standard; the practice: a value is a list of rules parted by commas, a name and a colon before a rule
/// address it and those after it to that user agent only, and each value starts afresh.
///
/// ```
/// use affectory_collect::forbidding_rule;
/// assert_eq!(forbidding_rule(["nofollow, NoAI"], "affectory"), Some("noai"));
/// assert_eq!(forbidding_rule(["otherbot: noindex, none"], "affectory"), None);
/// ```
pub fn forbidding_rule<'a>(values: impl IntoIterator<Item = &'a str>, product_token: &str) -> Option<&'static str> {
    values.into_iter().find_map(|value| {
        let mut for_us = true;
        value.split(',').find_map(|item| {
            let mut rule = item.trim();
            if let Some((name, addressed)) = addressee(rule) {
                for_us = name == "*" || name.eq_ignore_ascii_case(product_token);
                rule = addressed;
            }
            FORBIDDING.into_iter().find(|forbidding| for_us && rule.eq_ignore_ascii_case(forbidding))
        })
    })
}

/// User agent and rule of `name: rule`.
fn addressee(item: &str) -> Option<(&str, &str)> {
    let (name, rule) = item.split_once(':')?;
    let name = name.trim();
    // Names with digits and versions are met besides product tokens; a time such as `25 Jun 2027 15:00` is none.
    let is_name = |b: u8| is_token_byte(b) || b.is_ascii_digit() || matches!(b, b'.' | b'/' | b'*');
    let named = !name.is_empty() && name.bytes().all(is_name);
    (named && !WITH_VALUE.iter().any(|rule| name.eq_ignore_ascii_case(rule))).then(|| (name, rule.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_all_and_for_us_forbid_and_those_for_others_do_not() {
        for (values, expected) in [
            (&["noai"][..], Some("noai")),
            (&["NOINDEX"], Some("noindex")),
            (&["nofollow,  noimageai "], Some("noimageai")),
            (&["nofollow", "none"], Some("none")),
            (&["noimageindex"], Some("noimageindex")),
            (&["all"], None),
            (&["nofollow, noarchive, nosnippet"], None),
            (&["affectory: noindex"], Some("noindex")),
            (&["Affectory : nofollow, noai"], Some("noai")),
            (&["*: noai"], Some("noai")),
            (&["otherbot: noindex"], None),
            (&["otherbot: noindex, noai, none"], None),
            (&["otherbot: noindex, affectory: noai"], Some("noai")),
            (&["affectory: all, otherbot: noai"], None),
            (&["otherbot: nofollow", "noai"], Some("noai")),
            (&["unavailable_after: 25 Jun 2027 15:00:00 PST, noai"], Some("noai")),
            (&["unavailable_after: Wednesday, 03-Oct-2027 12:00:00 GMT, noai"], Some("noai")),
            (&["max-image-preview: none"], None),
            (&["max-snippet:20, noindex"], Some("noindex")),
            (&["noindexes", "no index", ""], None),
        ] {
            assert_eq!(forbidding_rule(values.iter().copied(), "affectory"), expected, "{values:?}");
        }
    }

    #[test]
    fn any_text_is_read_and_a_plain_rule_before_it_still_forbids() {
        arbtest::arbtest(|u| {
            let text: String = u.arbitrary()?;
            forbidding_rule([text.as_str()], "affectory");
            assert_eq!(forbidding_rule([format!("noai,{text}").as_str()], "affectory"), Some("noai"));
            Ok(())
        });
    }
}
