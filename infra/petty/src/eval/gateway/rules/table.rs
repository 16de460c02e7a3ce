//! Every difference that is meant.

use super::Difference::{Arrival, EnvoyTakes, Json, Message, PettyTakes, Refusal, Status};
use super::holds::{
    as_without, bad_field, bad_json, bad_type, by_policy, head, is_lenient, is_null, is_second, is_text,
    no_route, noon, of_the_staff, only_differs, options, other_verbs, refused_stream, same_events, streams,
};
use super::{Meant, Rule};

/// The first that fits explains.
pub(in crate::eval::gateway) static RULES: &[Rule] = &[
    Rule {
        subject: "routes of the staff",
        petty: "404 here, whatever is sent; they are answered on the admin port alone",
        envoy: "answers every route on its one port",
        reason: "what only staff may do is not reachable from outside, and not found out from there by bad requests either",
        meant: &[
            Meant { difference: EnvoyTakes, shapes: &[], holds: of_the_staff },
            Meant { difference: Refusal, shapes: &[], holds: of_the_staff },
            Meant { difference: Arrival, shapes: &[], holds: of_the_staff },
        ],
    },
    Rule {
        subject: "a slash at the end",
        petty: "404",
        envoy: "the path without it, so that `DELETE /v1/me/sessions/` with an empty id ends all sessions",
        reason: "an id that is empty by mistake must not become another call",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["a slash at the end", "path: empty"],
            holds: no_route,
        }],
    },
    Rule {
        subject: "streams (SSE)",
        petty: "`text/event-stream`, or lines; a stream that cannot begin has its own status; nothing is held back",
        envoy: "a JSON array, 200 whatever comes of it",
        reason: "browsers read events, and take them up again with `Last-Event-ID`; see [api.md](api.md)",
        meant: &[
            Meant { difference: Json, shapes: &[], holds: same_events },
            Meant {
                difference: EnvoyTakes,
                shapes: &["answered NOT_FOUND", "answered INVALID_ARGUMENT", "answered UNAVAILABLE"],
                holds: refused_stream,
            },
        ],
    },
    Rule {
        subject: "status of success",
        petty: "200, 201, 202 or 204, as the method's policy says",
        envoy: "200",
        reason: "the first system's clients expect 201, and so do HTTP's own rules",
        meant: &[Meant { difference: Status, shapes: &[], holds: by_policy }],
    },
    Rule {
        subject: "HEAD",
        petty: "wherever there is a GET: the same, without the body",
        envoy: "404",
        reason: "RFC 9110, 9.1",
        meant: &[Meant { difference: PettyTakes, shapes: &["HEAD"], holds: head }],
    },
    Rule {
        subject: "OPTIONS",
        petty: "204 with `Allow`",
        envoy: "404",
        reason: "RFC 9110, 9.3.7",
        meant: &[Meant { difference: PettyTakes, shapes: &["OPTIONS"], holds: options }],
    },
    Rule {
        subject: "a verb that the path has not",
        petty: "405, with those that it has in `Allow`",
        envoy: "404",
        reason: "RFC 9110, 15.5.6: what is there is not said to be missing",
        meant: &[Meant {
            difference: Refusal,
            shapes: &["HEAD", "a verb that the path has not"],
            holds: other_verbs,
        }],
    },
    Rule {
        subject: "a field that the message does not have",
        petty: "400, naming it (the first system's calls ignore up to 64)",
        envoy: "ignored",
        reason: "a misspelt field that is dropped in silence is a wrong answer later",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["body: an unknown field", "body: an unknown field, null", "body: an unknown object"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "a parameter that the request does not have",
        petty: "the first system's calls ignore up to 64",
        envoy: "400 (as configured; Petty's other calls say the same)",
        reason: "the first system's clients send some",
        meant: &[Meant { difference: PettyTakes, shapes: &["an unknown parameter"], holds: as_without }],
    },
    Rule {
        subject: "`request_id` in a body",
        petty: "400, naming it; the first system's calls ignore it",
        envoy: "taken",
        reason: "it is made of caller, method and `Idempotency-Key`: nobody may state another's",
        meant: &[
            Meant { difference: EnvoyTakes, shapes: &["body: request_id"], holds: bad_field },
            Meant {
                difference: Message,
                shapes: &["body: request_id"],
                holds: |pair| {
                    is_lenient(pair) && only_differs(pair, |id| id.is_none(), |id| is_text(id, "mine"))
                },
            },
        ],
    },
    Rule {
        subject: "a field of the body in the query",
        petty: "400, naming it (the first system's calls ignore it)",
        envoy: "taken",
        reason: "with `body: \"*\"` there are no parameters: google.api.http says so",
        meant: &[
            Meant { difference: EnvoyTakes, shapes: &["a field of the body in the query"], holds: bad_field },
            Meant {
                difference: Message,
                shapes: &["a field of the body in the query"],
                holds: |pair| {
                    is_lenient(pair) && only_differs(pair, |text| text.is_none(), |text| is_text(text, "x"))
                },
            },
        ],
    },
    Rule {
        subject: "a field twice",
        petty: "400, naming it, in whichever spelling",
        envoy: "the last one counts, of a list all",
        reason: "one reader checks the first and another uses the last: a known way around checks",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["field: twice, alike", "field: twice, in both spellings", "query: twice"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "a field in the path and elsewhere",
        petty: "400, naming it, where the body says another; in the query at all",
        envoy: "the path's counts",
        reason: "a request that contradicts itself is a mistake, and which half was meant is not ours to guess",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["path and body: another", "path and query: the same", "path and query: another"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "what is nearly JSON",
        petty: "400: RFC 8259 to the letter",
        envoy: "trailing commas, single quotes, raw control characters, unknown escapes and `5.` are read",
        reason: "who is strict is never in doubt what was meant",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &[
                "body: a comma too many",
                "body: single quotes",
                "text: a bad escape",
                "text: a raw tab",
                "number: no digit after the point",
            ],
            holds: bad_json,
        }],
    },
    Rule {
        subject: "content types",
        petty: "415 for a body that is not said to be JSON; a form only where the method takes one; a charset is let pass",
        envoy: "no look at it, or passed on as gRPC; a form is read as the JSON that it is not, 400",
        reason: "a body of another kind is a client that does not know what it sends; plain text from another origin's form is no JSON",
        meant: &[
            Meant {
                difference: EnvoyTakes,
                shapes: &["type: none", "type: text/plain", "type: gRPC"],
                holds: bad_type,
            },
            Meant {
                difference: Refusal,
                shapes: &["type: a form"],
                holds: |pair| bad_type(pair) && pair.envoy.reply.status == 400,
            },
        ],
    },
    Rule {
        subject: "U+0000 in a text",
        petty: "400, naming the field",
        envoy: "taken",
        reason: "no text of ours may hold it: PostgreSQL does not",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["path: U+0000", "query, text: U+0000", "text: U+0000"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "bytes that are not UTF-8, in a path or a query",
        petty: "400, naming the field",
        envoy: "passed on to the service, which cannot decode the message: 500, of a stream 200",
        reason: "the fault is the client's",
        meant: &[
            Meant {
                difference: Refusal,
                shapes: &["path: not UTF-8", "query, text: not UTF-8"],
                holds: |pair| bad_field(pair) && pair.envoy.reply.status == 500,
            },
            Meant {
                difference: EnvoyTakes,
                shapes: &["path: not UTF-8", "query, text: not UTF-8"],
                holds: |pair| bad_field(pair) && streams(pair),
            },
        ],
    },
    Rule {
        subject: "a plus in a query",
        petty: "a space, but in a time, where it is an offset's",
        envoy: "a plus",
        reason: "forms and most clients' libraries write spaces so",
        meant: &[Meant {
            difference: Message,
            shapes: &["query, text: a plus"],
            holds: |pair| only_differs(pair, |text| is_text(text, "a b"), |text| is_text(text, "a+b")),
        }],
    },
    Rule {
        subject: "a parameter without `=`",
        petty: "an empty value: of a text that; of anything else 400, naming it",
        envoy: "ignored",
        reason: "an empty number is a client's mistake",
        meant: &[
            Meant { difference: EnvoyTakes, shapes: &["query: no value"], holds: bad_field },
            Meant {
                difference: Message,
                shapes: &["query: no value"],
                holds: |pair| only_differs(pair, |text| is_text(text, ""), |text| text.is_none()),
            },
        ],
    },
    Rule {
        subject: "true and false",
        petty: "`true` and `false` alone; 400 for all else, naming the field",
        envoy: "the texts \"true\" and \"yes\", in a query also `1`, `TRUE` and `yes`",
        reason: "proto3 JSON has the two literals",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &[
                "bool: \"true\"",
                "bool: \"yes\"",
                "query, bool: 1",
                "query, bool: TRUE",
                "query, bool: yes",
            ],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "enums",
        petty: "a value's name, or its number; 400 for what is neither, naming the field",
        envoy: "any number; a number in a text",
        reason: "a value that no service knows is refused where the client still hears of it",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["enum: a number of no value", "enum: a number as text"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "numbers that are none",
        petty: "400 for NaN and the infinities, naming the field",
        envoy: "taken",
        reason: "no quantity of ours can be that; a client that sends it has divided by zero",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["number: \"NaN\"", "number: \"Infinity\""],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "lists",
        petty: "an array of what the list is of; 400 for all else, naming the field",
        envoy: "also a single value, an object or a list in it, and nulls in it, which are dropped",
        reason: "proto3 JSON has arrays, and no nulls in them",
        meant: &[Meant {
            difference: EnvoyTakes,
            shapes: &["list: a null in it", "list: an object", "list: a text", "list: a list in a list"],
            holds: bad_field,
        }],
    },
    Rule {
        subject: "null for any JSON",
        petty: "absent, as for every other field",
        envoy: "the value null",
        reason: "the first system's clients send null for what they do not have",
        meant: &[Meant {
            difference: Message,
            shapes: &["field: null"],
            holds: |pair| only_differs(pair, |json| json.is_none(), is_null),
        }],
    },
    Rule {
        subject: "times",
        petty: "RFC 3339, small letters and a space for the T too; up to 9999-12-30; a leap second is the second before; no `{\"seconds\": …}`; \
                the first system's calls read a time without an offset as UTC",
        envoy: "capitals and T alone; `{\"seconds\": …}` too; a leap second is the second after",
        reason: "RFC 3339, 5.6, lets both spellings be; the last day of year 9999 is beyond our library's times in some zone",
        meant: &[
            Meant {
                difference: EnvoyTakes,
                shapes: &["time: an object", "time: the last second"],
                holds: bad_field,
            },
            Meant {
                difference: PettyTakes,
                shapes: &["time: small letters", "time: a space for the T"],
                holds: noon,
            },
            Meant {
                difference: PettyTakes,
                shapes: &["time: no offset"],
                holds: |pair| is_lenient(pair) && noon(pair),
            },
            Meant {
                difference: Message,
                shapes: &["time: a leap second"],
                holds: |pair| {
                    let (before, after) = (1_483_228_799, 1_483_228_800);
                    only_differs(pair, |time| is_second(time, before), |time| is_second(time, after))
                },
            },
        ],
    },
];
