//! Path templates of `google.api.http`: `/v1/{name=shelves/*/books/*}:archive`.
//!
//! Read by the build script too, which refuses what is none.

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// This one.
    Text(&'a str),
    /// Any one.
    One,
    /// All that are left, one at least.
    Rest,
}

/// A field that the path states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    /// Its path in the request, `pet.pet_id`.
    pub(crate) field: &'a str,
    /// The first of its segments.
    pub(crate) first: usize,
    /// How many it has.
    pub(crate) count: usize,
}

/// A template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template<'a> {
    pub(crate) segments: Vec<Segment<'a>>,
    pub(crate) variables: Vec<Variable<'a>>,
    /// What stands after the colon.
    pub(crate) verb: Option<&'a str>,
}

impl<'a> Template<'a> {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(text: &'a str) -> Result<Self, &'static str> {
        let mut template = Self::default();
        let (path, verb) = split_verb(text);
        if verb.is_some_and(|verb| !is_literal(verb)) {
            return Err("what stands after the colon is no word");
        }
        template.verb = verb;
        let mut rest = path.strip_prefix('/').ok_or("it does not begin with /")?;
        loop {
            let (part, after) = match rest.strip_prefix('{') {
                Some(open) => {
                    let (inside, after) = open.split_once('}').ok_or("a brace is open")?;
                    template.variable(inside)?;
                    (None, after)
                }
                None => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    (Some(&rest[..end]), &rest[end..])
                }
            };
            if let Some(part) = part {
                template.segment(part)?;
            }
            match after.strip_prefix('/') {
                Some(after) => rest = after,
                None if after.is_empty() => break,
                None => return Err("a brace is not a whole segment"),
            }
        }
        let last = template.segments.len() - 1;
        if template.segments[..last].contains(&Segment::Rest) {
            return Err("** is not the last segment");
        }
        Ok(template)
    }

    fn variable(&mut self, inside: &'a str) -> Result<(), &'static str> {
        let (field, pattern) = inside.split_once('=').unwrap_or((inside, "*"));
        if !field.split('.').all(is_name) {
            return Err("a field's name is none");
        }
        if self.variables.iter().any(|variable| variable.field == field) {
            return Err("a field stands there twice");
        }
        let first = self.segments.len();
        for part in pattern.split('/') {
            self.segment(part)?;
        }
        self.variables.push(Variable { field, first, count: self.segments.len() - first });
        Ok(())
    }

    fn segment(&mut self, part: &'a str) -> Result<(), &'static str> {
        self.segments.push(match part {
            "*" => Segment::One,
            "**" => Segment::Rest,
            text if is_literal(text) => Segment::Text(text),
            _ => return Err("a segment is no word"),
        });
        Ok(())
    }
}

/// What stands after the colon of the last segment.
fn split_verb(text: &str) -> (&str, Option<&str>) {
    let from = text.rfind(['/', '}']).unwrap_or_default();
    match text[from..].find(':') {
        Some(colon) => (&text[..from + colon], Some(&text[from + colon + 1..])),
        None => (text, None),
    }
}

fn is_literal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::Segment::{One, Rest, Text};
    use super::*;

    #[test]
    fn templates_are_read_as_their_grammar_has_them() {
        for (text, segments, variables, verb) in [
            ("/v1/pets", &[Text("v1"), Text("pets")][..], &[][..], None),
            ("/v1/pets/{pet_id}", &[Text("v1"), Text("pets"), One], &[("pet_id", 2, 1)], None),
            ("/v1/ingest:batch", &[Text("v1"), Text("ingest")], &[], Some("batch")),
            ("/a/{b.c}:d", &[Text("a"), One], &[("b.c", 1, 1)], Some("d")),
            (
                "/v1/{name=shelves/*/books/*}/{page}",
                &[Text("v1"), Text("shelves"), One, Text("books"), One, One],
                &[("name", 1, 4), ("page", 5, 1)],
                None,
            ),
            ("/v1/{rest=**}:look", &[Text("v1"), Rest], &[("rest", 1, 1)], Some("look")),
            ("/*/x/**", &[One, Text("x"), Rest], &[], None),
            ("/.well-known/jwks.json", &[Text(".well-known"), Text("jwks.json")], &[], None),
        ] {
            let read = Template::parse(text).unwrap();
            let names: Vec<_> = read.variables.iter().map(|v| (v.field, v.first, v.count)).collect();
            assert_eq!((&read.segments[..], &names[..], read.verb), (segments, variables, verb), "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in [
            "",
            "v1",
            "/",
            "/v1/",
            "/v1//x",
            "/{a",
            "/{a}b",
            "/a{b}",
            "/{}",
            "/{a=}",
            "/{a=b/}",
            "/{1}",
            "/{a.}",
            "/{a}/{a}",
            "/**/x",
            "/{a=**}/b",
            "/{a={b}}",
            "/x:",
            "/x:a:b",
            "/a b",
            "/a*",
            "/***",
            "/{a=*}x",
            "/ä",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
