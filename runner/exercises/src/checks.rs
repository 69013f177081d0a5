//! The exercises: each question, what is expected, and the mistakes with their hints.
//!
//! A reply is right if it has none of the mistakes in the list. The list begins with the mistakes that are easiest to name; its last
//! entry is always that what is expected is not there.

use std::time::{Duration, SystemTime};

use crate::server::{Ended, Outcome, Reply};
use crate::{Body, Check, Exercise, Judge, Question};

/// The exercises, in the order of their numbers, from 1.
pub const EXERCISES: [Exercise; 7] = [
    Exercise { title: "Another text", read: "docs/exercises.md#1-another-text", checks: &ANOTHER_TEXT },
    Exercise { title: "The time", read: "docs/exercises.md#2-the-time", checks: &THE_TIME },
    Exercise { title: "A page for each path", read: "docs/exercises.md#3-a-page-for-each-path", checks: &PAGES },
    Exercise { title: "A redirect", read: "docs/exercises.md#4-a-redirect", checks: &REDIRECT },
    Exercise { title: "What the client sent", read: "docs/exercises.md#5-what-the-client-sent", checks: &ECHO },
    Exercise { title: "An error on purpose", read: "docs/exercises.md#6-an-error-on-purpose", checks: &ERROR },
    Exercise { title: "A form", read: "docs/exercises.md#7-a-form", checks: &FORM },
];

/// The most by which a time in a page may differ from the time of the response.
const MOST_DIFFERENCE: Duration = Duration::from_secs(5);

/// The hint of the first of these mistakes that was made.
fn first<const N: usize>(mistakes: [(bool, &'static str); N]) -> Option<&'static str> {
    mistakes.into_iter().find_map(|(is_made, hint)| is_made.then_some(hint))
}

impl Check {
    const fn get(
        target: &'static str,
        expected: &'static str,
        judge: fn(&Reply, &[Reply]) -> Option<&'static str>,
    ) -> Self {
        let question = Question { method: "GET", target, fields: b"", body: Body::Text("") };
        Check { question, pause: Duration::ZERO, expected, judge: Judge::Reply(judge), read: "" }
    }

    const fn post(body: Body, expected: &'static str, judge: fn(&Reply, &[Reply]) -> Option<&'static str>) -> Self {
        let check = Check::get("/", expected, judge);
        Check { question: Question { method: "POST", body, ..check.question }, ..check }
    }

    const fn with_fields(self, fields: &'static [u8]) -> Self {
        Check { question: Question { fields, ..self.question }, ..self }
    }

    const fn read_in(self, read: &'static str) -> Self {
        Check { read, ..self }
    }
}

impl Reply {
    fn has(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// Whether the body has `text`, in capital or small letters.
    fn has_in_any_case(&self, text: &str) -> bool {
        self.body.to_lowercase().contains(&text.to_lowercase())
    }

    /// Whether another field than those of the server has `text` in its value.
    fn has_in_fields(&self, text: &str) -> bool {
        self.fields.iter().any(|(_, value)| value.contains(text))
    }

    fn is_html(&self) -> bool {
        self.field("content-type").is_some_and(|kind| kind.starts_with("text/html"))
    }

    /// The text between the first `begin` and the next `end`.
    fn between(&self, begin: &str, end: &str) -> Option<&str> {
        Some(self.body.split_once(begin)?.1.split_once(end)?.0)
    }
}

// Hints that more than one exercise has.
const STILL_HELLO: &str = "The page still says Hello World. Change what `answer` returns, and save src/hello.rs.";
const WANTS_200: &str = "The status of a page that is there is 200: `Response::html(200, ...)`.";
const EMPTY: &str = "There is no page. The text of the page is the second value of `Response::html(200, ...)`.";
const NOT_HTML: &str = "`Response::text` sends plain text, and a browser shows each mark, such as `<h1>`, as it is. `Response::html` sends \
                        a page.";
const WANTS_404: &str =
    "There is no page for this path, so the status is 404: `_ => Response::html(404, ...)` comes last in a `match`.";
const ONLY_IN_WORDS: &str =
    "The page says 404, but the status is 200, and programs look at the status: `Response::html(404, ...)`.";
const NOT_ESCAPED: &str = "Text from the client became markup of your page: a client could put a script there. Write \
                           `escape_html(&text)` where the text becomes a part of the page.";
const ESCAPED_TWICE: &str =
    "The text is escaped twice: `&` became `&amp;`, and that `&` became `&amp;` again. Escape each text once.";
const REMOVED: &str = "The text is missing. Do not remove or replace parts of it: `escape_html` keeps each character visible, and harmless.";

/// Exercise 1.
const ANOTHER_TEXT: [Check; 2] = [
    Check::get("/", "status 200, and a page with `Good morning` between `<h1>` and `</h1>`", |reply, _| {
        good_morning(reply)
    }),
    Check::get("/any/other/path", "the same page: every request gets it", |reply, before| {
        first([
            (
                before.first().is_some_and(|first| good_morning(first).is_none() && first.body != reply.body),
                "The page is for every request: `answer` need not look at the path.",
            ),
            (good_morning(reply).is_some(), "Mend the answer to `GET /` first: this one is the same."),
        ])
    }),
];

fn good_morning(reply: &Reply) -> Option<&'static str> {
    let words = "Good morning";
    let heading = reply.between("<h1>", "</h1>").or_else(|| reply.between("<H1>", "</H1>"));
    first([
        (reply.has("Hello World") && !reply.has_in_any_case(words), STILL_HELLO),
        (reply.status != 200, WANTS_200),
        (reply.body.is_empty(), EMPTY),
        (!reply.is_html(), NOT_HTML),
        (
            !reply.has(words) && reply.has_in_any_case(words),
            "The letters are right, but not their case: it is `Good morning`, with one capital letter.",
        ),
        (
            !reply.has(words) && reply.has_in_any_case("morn"),
            "The words are almost there. Compare them with `Good morning`, letter by letter.",
        ),
        (!reply.has(words), "The page does not have the words `Good morning`."),
        (reply.has("Hello World"), "The page says Good morning, and still Hello World. Take out the old text."),
        (
            reply.has("<!--")
                || reply.between("<title>", "</title>").is_some_and(|title| title.contains(words))
                    && !heading.is_some_and(|heading| heading.contains(words)),
            "The words are in a comment or in the title of the tab. A page shows what is between `<h1>` and `</h1>`.",
        ),
        (
            !reply.has_in_any_case("<h1"),
            "The letters are not large. A heading begins with `<h1>` and ends with `</h1>`: `<h1>Good morning</h1>`.",
        ),
        (!reply.has_in_any_case("</h1>"), "A heading ends with `</h1>`, with a slash: `<h1>Good morning</h1>`."),
        (
            !heading.is_some_and(|heading| heading.contains(words)),
            "The words have to stand between `<h1>` and `</h1>`: `<h1>Good morning</h1>`.",
        ),
    ])
}

/// Exercise 2.
const THE_TIME: [Check; 2] = [
    Check::get("/", "status 200, and the time now, as in `Mon, 23 Nov 2026 20:31:47 GMT`", |reply, _| time_now(reply)),
    Check {
        pause: Duration::from_millis(1100),
        ..Check::get("/again", "a second later: a later time", |reply, before| {
            let earlier = before.first().and_then(time_in);
            first([
                (reply.status == 404, "The time is the answer to every request: `answer` need not look at the path."),
                (
                    earlier.is_some() && time_in(reply) == earlier,
                    "The page has the same time as a second ago. Ask for the time in `answer`, so that each request asks anew.",
                ),
                (time_now(reply).is_some(), "Mend the answer to `GET /` first: this one is the same."),
            ])
        })
    },
];

/// The first time in the body.
fn time_in(reply: &Reply) -> Option<SystemTime> {
    let end = reply.body.find(" GMT")? + " GMT".len();
    let start = end.checked_sub("Mon, 23 Nov 2026 20:31:47 GMT".len())?;
    httpdate::parse_http_date(reply.body.get(start..end)?).ok()
}

fn time_now(reply: &Reply) -> Option<&'static str> {
    let now = reply.field("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let shown = time_in(reply);
    let difference = shown.zip(now).map(|(shown, now)| {
        let difference = now.duration_since(shown).unwrap_or_else(|earlier| earlier.duration());
        (difference > MOST_DIFFERENCE).then_some(difference)
    });
    let is_other = |by: &dyn Fn(Duration) -> bool| difference.flatten().is_some_and(by);
    let has_number = reply.body.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 9);
    let quarter = 15 * 60;
    first([
        (reply.has("Hello World"), STILL_HELLO),
        (reply.status != 200, WANTS_200),
        (
            reply.has("Instant"),
            "An `Instant` is for measuring how long something takes: it knows no date. `SystemTime::now()` is the time of day.",
        ),
        (
            reply.has("SystemTime") || reply.has("tv_sec"),
            "`{:?}` shows how Rust keeps the time. `httpdate::fmt_http_date(time)` makes a text for people of it.",
        ),
        (
            shown.is_none() && has_number,
            "That is a number of seconds since 1970. `httpdate::fmt_http_date(time)` makes a text for people of a `SystemTime`.",
        ),
        (
            shown.is_none() && reply.fields.iter().any(|(name, value)| name != "Date" && value.ends_with(" GMT")),
            "The time is in the header, where a browser does not show it. It belongs into the page.",
        ),
        (reply.body.is_empty(), EMPTY),
        (
            shown.is_none(),
            "The page has no time in the form `Mon, 23 Nov 2026 20:31:47 GMT`. `httpdate::fmt_http_date(SystemTime::now())` makes one.",
        ),
        (
            shown.is_some_and(|shown| shown < SystemTime::UNIX_EPOCH + Duration::from_secs(24 * 60 * 60)),
            "That is the beginning of 1970, from which computers count. `SystemTime::now()` is the time now.",
        ),
        (
            is_other(&|difference| {
                let rest = (difference.as_secs() + MOST_DIFFERENCE.as_secs()) % quarter;
                difference.as_secs() < 15 * 60 * 60 && rest <= 2 * MOST_DIFFERENCE.as_secs()
            }),
            "The time is another by whole hours. The text ends with GMT, the time of London in winter: add nothing for your own zone.",
        ),
        (
            is_other(&|_| true),
            "That is not the time now. Was it typed into the source? `SystemTime::now()` asks for the time.",
        ),
    ])
}

/// Exercise 3.
const PAGES: [Check; 8] = [
    Check::get("/", "status 200, and a page with `Welcome`", |reply, _| welcome(reply)),
    Check::get("/hello/Ada", "status 200, and a page with `Hello, Ada!`", |reply, _| {
        first([
            (
                reply.status == 404,
                "The path `/hello/Ada` begins with `/hello/`: `path.strip_prefix(\"/hello/\")` is the rest, `Ada`.",
            ),
            (
                reply.has("Welcome"),
                "Every path gets the welcome. Only `/` should: compare the path, `if path == \"/\"`.",
            ),
            (reply.has("Hello, !"), "The name is missing: it is the part of the path behind `/hello/`."),
            (reply.has("Hello, /"), "The name is only the part behind `/hello/`: `path.strip_prefix(\"/hello/\")`."),
            (
                reply.has("Hello, Some("),
                "`Some(...)` is how Rust shows that a value is there: take the value out with `match` or `if let`.",
            ),
            (greets(reply, "Ada").is_some(), greets(reply, "Ada").unwrap_or_default()),
        ])
    }),
    Check::get("/hello/Grace", "status 200, and a page with `Hello, Grace!`", |reply, _| {
        first([
            (reply.has("Ada"), "The name is the one in the path, not always Ada: it is the part behind `/hello/`."),
            (
                reply.status == 404,
                "Each name gets a greeting: do not compare the path with `/hello/Ada`, but look at its beginning.",
            ),
            (greets(reply, "Grace").is_some(), greets(reply, "Grace").unwrap_or_default()),
        ])
    }),
    Check::get("/hello/Jos%C3%A9", "status 200, and a page with `Hello, José!`", |reply, _| {
        first([
            (
                reply.has("%C3%A9"),
                "A browser sends `Jos%C3%A9` for José. `request.decoded_path()` is the path as people read it.",
            ),
            (greets(reply, "José").is_some(), greets(reply, "José").unwrap_or_default()),
        ])
    }),
    Check::get(
        "/hello/<b>you</b>",
        "status 200, and a page with `Hello, &lt;b&gt;you&lt;/b&gt;!`: nothing in bold type",
        |reply, _| escaped(reply, "<b>you</b>", "you"),
    ),
    Check::get("/hello/%3Cb%3Eyou", "status 200, and a page with `Hello, &lt;b&gt;you!`", |reply, _| {
        first([
            (
                reply.has("%3C"),
                "`%3C` is `<`, as an address has it. `request.decoded_path()` is the path as people read it.",
            ),
            (
                reply.has("<b>"),
                "The text was escaped before it was decoded, so the `<` came in after that. First decode, then escape: \
                 `escape_html(&request.decoded_path())`.",
            ),
            (escaped(reply, "<b>you", "you").is_some(), escaped(reply, "<b>you", "you").unwrap_or_default()),
        ])
    }),
    Check::get("/hello/", "status 404: there is no name", |reply, _| {
        first([
            (reply.status == 200 && reply.has("404"), ONLY_IN_WORDS),
            (
                reply.status == 200,
                "This path has no name, so there is no page for it. Is the name empty? `name.is_empty()` tells it.",
            ),
            (reply.status != 404, WANTS_404),
        ])
    })
    .read_in("docs/lecture.md#words"),
    Check::get("/nothing/here", "status 404, and a page", |reply, _| no_page(reply)).read_in("docs/lecture.md#words"),
];

fn welcome(reply: &Reply) -> Option<&'static str> {
    first([
        (reply.has("Hello World"), STILL_HELLO),
        (
            reply.status == 404,
            "There is a page for `/`: it is the path of `http://localhost:9000/`. Compare it with `\"/\"`.",
        ),
        (reply.status != 200, WANTS_200),
        (reply.body.is_empty(), EMPTY),
        (!reply.is_html(), NOT_HTML),
        (
            !reply.has("Welcome") && reply.has_in_any_case("welcome"),
            "The letters are right, but not their case: it is `Welcome`, with one capital letter.",
        ),
        (!reply.has("Welcome"), "The page does not have the word `Welcome`."),
    ])
}

/// The hint for a page that does not greet `name`.
fn greets(reply: &Reply, name: &str) -> Option<&'static str> {
    let greeting = format!("Hello, {name}!");
    first([
        (reply.has("Hello World"), STILL_HELLO),
        (reply.status != 200, WANTS_200),
        (reply.body.is_empty(), EMPTY),
        (!reply.is_html(), NOT_HTML),
        (
            !reply.has(&greeting) && reply.has(name),
            "The name is there, but not the whole greeting. It is `Hello, NAME!`, with the comma, the blank and the exclamation mark.",
        ),
        (
            !reply.has(&greeting),
            "The page does not greet by this name: `format!(\"<p>Hello, {}!</p>\", name)` puts the name into a text.",
        ),
    ])
}

/// The hint for a page that should have `text`, and does not have it escaped; `part` has no character that needs it.
fn escaped(reply: &Reply, text: &str, part: &str) -> Option<&'static str> {
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    first([
        (reply.status != 200, WANTS_200),
        (reply.has(text) || reply.has("<b>"), NOT_ESCAPED),
        (reply.has("&amp;lt;"), ESCAPED_TWICE),
        (reply.has(part) && !reply.has("&lt;"), REMOVED),
        (!reply.is_html(), NOT_HTML),
        (!reply.has(&html), "The page does not have this text."),
    ])
}

fn no_page(reply: &Reply) -> Option<&'static str> {
    first([
        (
            matches!(reply.status, 300..=399),
            "Every path is sent on, also one that does not exist. Only `/` should be: all others get 404.",
        ),
        (
            matches!(reply.status, 500..=599),
            "A status from 500 to 599 says that the server has made a mistake. Here the client asked for a page that is not there: 404.",
        ),
        (
            matches!(reply.status, 400 | 403 | 405 | 410),
            "That status has another meaning. A page that is not there is 404, Not Found.",
        ),
        (reply.status == 200 && reply.has("404"), ONLY_IN_WORDS),
        (reply.status != 404, WANTS_404),
        (reply.body.is_empty(), "The status is right, and there is no page for people. Write a sentence there."),
    ])
}

/// Exercise 4.
const REDIRECT: [Check; 3] = [
    Check::get("/", "status 302, and the header `Location: /welcome`", |reply, _| {
        let to = reply.field("location").unwrap_or_default();
        let is_there = !to.is_empty();
        first([
            (reply.status == 200 && reply.has("Hello World"), STILL_HELLO),
            (
                matches!(reply.status, 200 | 404) && is_there,
                "`Location` is there, but a browser looks at it only if the status is a redirect: 302.",
            ),
            (
                reply.status == 200 && reply.has_in_any_case("http-equiv"),
                "A page that sends the browser on is not a redirect: programs do not read it. Use status 302 and the header `Location`.",
            ),
            (
                reply.status == 200 && reply.has_in_any_case("location"),
                "`Location` is in the page. It belongs into the header: `.with_field(\"Location\", \"/welcome\")`.",
            ),
            (
                matches!(reply.status, 301 | 308),
                "This status is for ever: browsers keep it, and never ask `/` again. 302, Found, is for now.",
            ),
            (matches!(reply.status, 303 | 307), "This status is a redirect, too, for forms. Here the exercise asks for 302, Found."),
            (reply.status != 302, "The status of this redirect is 302: `Response::empty(302).with_field(\"Location\", \"/welcome\")`."),
            (
                !is_there && reply.has_in_fields("/welcome"),
                "The header has another name. Browsers look for `Location`: `.with_field(\"Location\", \"/welcome\")`.",
            ),
            (!is_there, "The status is right. Now say where to: `.with_field(\"Location\", \"/welcome\")`."),
            (to == "/", "`Location` names the page that the browser has just asked for: it would turn in a circle."),
            (
                to.contains("://"),
                "`Location` names one machine and one port, and the server may run at another one. The path alone is enough: `/welcome`.",
            ),
            (!to.starts_with('/'), "Begin the path in `Location` with a slash: `/welcome`. Without it, it counts from the path of the request."),
            (to.starts_with("/welcome/"), "`/welcome/` and `/welcome` are two paths. The exercise has the one without a slash at the end."),
            (to != "/welcome", "`Location` names another path than `/welcome`. Compare letter by letter."),
        ])
    })
    .read_in("docs/lecture.md#words"),
    Check::get("/welcome", "status 200, and a page with `Welcome`", |reply, _| {
        first([
            (
                matches!(reply.status, 300..=399),
                "The browser follows the redirect to `/welcome`, and is sent on again, in a circle. This path gets the page.",
            ),
            (reply.status == 404, "The redirect leads to a page that is not there. Answer `/welcome` with a page."),
            (welcome(reply).is_some(), welcome(reply).unwrap_or_default()),
        ])
    }),
    Check::get("/nothing/here", "status 404, and a page", |reply, _| no_page(reply)).read_in("docs/lecture.md#words"),
];

/// Exercise 5.
const ECHO: [Check; 7] = [
    Check::get("/some/where", "status 200, and a page with the method, `GET`, and the path, `/some/where`", |reply, _| {
        first([
            (reply.has("Hello World"), STILL_HELLO),
            (reply.status == 404, "Every path gets the page that shows what was sent: there is no 404 here."),
            (reply.status != 200, WANTS_200),
            (reply.body.is_empty(), EMPTY),
            (!reply.is_html(), NOT_HTML),
            (reply.has("Request {"), "`{:?}` shows how Rust keeps the request. Show its parts: `request.method` and `request.path()`."),
            (reply.has("Origin("), "`request.target` is how Rust keeps the address. `request.path()` is the path as text."),
            (!reply.has("GET"), "The method is missing: `request.method` is `GET` here."),
            (!reply.has("/some/where"), "The path is missing: `request.path()` is `/some/where` here."),
        ])
    }),
    Check::post(Body::Text("x=1"), "status 200, and a page with the method, `POST`", |reply, _| {
        first([
            (reply.status != 200, "Show this method like each other one, with status 200."),
            (
                !reply.has("POST") && reply.has("GET"),
                "The page says GET, and the client said POST. Was GET typed into the source? `request.method` is the method.",
            ),
            (!reply.has("POST"), "The method is missing: `request.method` is `POST` here."),
        ])
    }),
    Check::get("/", "a page with `X-Colour: green`", |reply, _| {
        first([
            (reply.status != 200, WANTS_200),
            (
                reply.has("[103, 114") || reply.has("b&quot;green") || reply.has("b\"green"),
                "The value is shown as bytes. `String::from_utf8_lossy(value)` makes a text of them.",
            ),
            (
                !reply.has_in_any_case("x-colour") && reply.has("green"),
                "The value is there, but not its name. `for (name, value) in request.fields()` goes through both.",
            ),
            (
                reply.has_in_any_case("x-colour") && !reply.has("green"),
                "The name is there, but not its value. `for (name, value) in request.fields()` goes through both.",
            ),
            (
                !reply.has_in_any_case("x-colour") && reply.has_in_any_case("host"),
                "The page shows some headers, but not this one, which has a name of its own. `request.fields()` has all of them.",
            ),
            (!reply.has_in_any_case("x-colour"), "The headers are missing. `for (name, value) in request.fields()` goes through them."),
            (
                !reply.has_in_any_case("x-colour: green"),
                "Name and value are there, but not as `X-Colour: green`: a colon and a blank stand between them.",
            ),
        ])
    })
    .with_fields(b"X-Colour: green\r\n"),
    Check::get("/", "a page with `X-Number: one` and `X-Number: two`", |reply, _| {
        let has = |number: &str| reply.has_in_any_case(&format!("x-number: {number}"));
        first([
            (
                has("one") != has("two"),
                "A header may come twice, and the page shows one of them. `request.field(name)` and a map know only one value for each \
                 name; `request.fields()` has all.",
            ),
            (!has("one"), "The headers are missing, or their form is another: `X-Number: one`."),
        ])
    })
    .with_fields(b"X-Number: one\r\nX-Number: two\r\n"),
    Check::get("/", "a page with `X-Mark: &lt;b&gt;loud&lt;/b&gt;`: nothing in bold type", |reply, _| {
        escaped(reply, "<b>loud</b>", "loud")
    })
    .with_fields(b"X-Mark: <b>loud</b>\r\n"),
    Check::get("/<b>path</b>", "a page with `/&lt;b&gt;path&lt;/b&gt;`: nothing in bold type", |reply, _| {
        escaped(reply, "<b>path</b>", "path")
    }),
    Check::get("/", "a page, with `X-Name: Jos` and a sign for the byte that is no text", |reply, _| {
        first([
            (reply.status != 200, "One of the bytes is not text. `String::from_utf8_lossy(value)` puts a sign in its place."),
            (
                !reply.has_in_any_case("x-name: jos"),
                "This header is missing, because one of its bytes is not text. `String::from_utf8_lossy(value)` puts a sign in its place.",
            ),
        ])
    })
    .with_fields(b"X-Name: Jos\xe9\r\n"),
];

/// Exercise 6.
const ERROR: [Check; 4] = [
    Check::get("/error", "status 500, and a page with `Something went wrong`", |reply, _| {
        let words = "Something went wrong";
        first([
            (reply.has("Hello World"), "This path still gets Hello World. Compare it: `if request.path() == \"/error\"`."),
            (
                reply.status == 200,
                "The page speaks of an error, but the status is 200, and programs look at the status: `Response::html(500, ...)`.",
            ),
            (
                matches!(reply.status, 400..=499),
                "A status from 400 to 499 says that the client has made a mistake. Here it is the server: 500.",
            ),
            (
                matches!(reply.status, 501..=599),
                "This status has another meaning. 500, Internal Server Error, is for any mistake of the server.",
            ),
            (reply.status != 500, "The status is 500: `Response::html(500, ...)`."),
            (reply.body.is_empty(), "The status is right, and there is no page for people. Write `Something went wrong` there."),
            (
                !reply.has(words) && reply.has_in_any_case(words),
                "The letters are right, but not their case: it is `Something went wrong`, with one capital letter.",
            ),
            (!reply.has(words), "The page does not have the words `Something went wrong`."),
        ])
    })
    .read_in("docs/lecture.md#words"),
    Check::get("/", "status 200, and Hello World: the server goes on after an error", |reply, _| hello(reply)),
    Check::get("/other", "status 200, and Hello World", |reply, _| hello(reply)),
    Check {
        judge: Judge::Panic,
        ..Check::get("/panic", "no answer: the program panics, and the sandbox ends it", |_, _| None)
            .read_in("docs/lecture.md#7-what-the-sandbox-forbids-5-minutes")
    },
];

fn hello(reply: &Reply) -> Option<&'static str> {
    first([
        (
            reply.status == 500,
            "Every path gets the error. Only `/error` should: compare the path, and answer the others as before.",
        ),
        (reply.status == 404, "All other paths get Hello World, as before: there is no 404 here."),
        (reply.status != 200, WANTS_200),
        (!reply.has("Hello World"), "All other paths get Hello World, as before."),
    ])
}

/// The hint for a program that should have panicked.
pub(crate) fn no_panic(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reply(reply) if reply.status == 500 => {
            "The server answered with an error, and goes on: that is what `/error` does. For `/panic`, write `panic!(\"on purpose\")`."
        }
        Outcome::Reply(_) => {
            "The server answered. For `/panic`, write `panic!(\"on purpose\")`, and see what the sandbox does."
        }
        Outcome::Ended(Ended::Exit) => {
            "The program ended, but quietly, without a reason. A panic says where it happened: `panic!(\"on purpose\")`."
        }
        Outcome::Ended(Ended::Busy) => {
            "That is a loop without an end, which the sandbox ends, too. A panic is `panic!(\"on purpose\")`."
        }
        Outcome::Ended(Ended::Silent) => {
            "No answer came, and the program still runs. A panic is `panic!(\"on purpose\")`."
        }
        Outcome::Ended(Ended::Stack) => {
            "The function calls itself, until the sandbox ends it. A panic is `panic!(\"on purpose\")`."
        }
        Outcome::Ended(_) => "The program ended, but not by a panic: `panic!(\"on purpose\")`.",
    }
}

/// Exercise 7.
const FORM: [Check; 7] = [
    Check::get("/", "status 200, and a form: `<form method=\"post\">` with `<input name=\"name\">`", |reply, _| {
        let page = reply.body.to_lowercase().replace(['"', '\''], "");
        first([
            (reply.has("Hello World"), STILL_HELLO),
            (reply.status != 200, "A browser that opens the page sends GET. Answer it with the form, and status 200."),
            (reply.body.is_empty(), EMPTY),
            (!reply.is_html(), NOT_HTML),
            (reply.has("Hello,"), "GET gets the form. The greeting is for POST: `if request.method == \"POST\"`."),
            (
                !page.contains("<form"),
                "The page has no form: `<form method=\"post\">`, fields to fill in, and `</form>`.",
            ),
            (
                !page.contains("method=post"),
                "A form sends GET, with its fields in the address, unless you write `<form method=\"post\">`.",
            ),
            (!page.contains("<input"), "The form has no field to fill in: `<input name=\"name\">`."),
            (
                !page.contains("name=name"),
                "A browser sends only fields that have a name: `<input name=\"name\">`. (An `id` is not a name.)",
            ),
        ])
    }),
    Check::post(Body::Text("name=Ada"), "status 200, and a page with `Hello, Ada!`", |reply, _| {
        first([
            (
                reply.status == 413,
                "The server refuses this body, because `BODY_LIMIT` is less than its 8 bytes. Set it to 1000.",
            ),
            (
                reply.has("Hello, !") || reply.status == 400,
                "The name did not arrive. Is `BODY_LIMIT` still 0? Then the server throws bodies away: set it to 1000.",
            ),
            (
                reply.has_in_any_case("<form"),
                "POST got the form again. Is the method compared with `\"POST\"`, in capitals? Then: is `BODY_LIMIT` still 0?",
            ),
            (
                reply.has("name=Ada"),
                "The page shows the whole body. The name is what comes after `name=`: `body.strip_prefix(\"name=\")`.",
            ),
            (
                reply.has("Some("),
                "`Some(...)` is how Rust shows that a value is there: take the value out with `match` or `if let`.",
            ),
            (
                reply.has("[65, 100"),
                "The name is shown as bytes. `String::from_utf8_lossy(request.body)` makes a text of them.",
            ),
            (
                matches!(reply.status, 404 | 405),
                "POST goes to the same path as the form, `/`, and gets the greeting, with status 200.",
            ),
            (greets(reply, "Ada").is_some(), greets(reply, "Ada").unwrap_or_default()),
        ])
    }),
    Check::post(Body::Text("name=Ada+Lovelace"), "status 200, and a page with `Hello, Ada Lovelace!`", |reply, _| {
        first([
            (
                reply.has("Ada+Lovelace"),
                "A form sends `+` for a blank: `text.replace('+', \" \")` before you decode the text.",
            ),
            (greets(reply, "Ada Lovelace").is_some(), greets(reply, "Ada Lovelace").unwrap_or_default()),
        ])
    }),
    Check::post(Body::Text("name=Jos%C3%A9"), "status 200, and a page with `Hello, José!`", |reply, _| {
        first([
            (
                reply.has("%C3%A9"),
                "A form sends `%C3%A9` for é. `percent_encoding::percent_decode_str(&text).decode_utf8_lossy()` decodes it.",
            ),
            (greets(reply, "José").is_some(), greets(reply, "José").unwrap_or_default()),
        ])
    }),
    Check::post(
        Body::Text("name=%3Cb%3Eloud"),
        "status 200, and a page with `Hello, &lt;b&gt;loud!`: nothing in bold type",
        |reply, _| {
            first([
                (reply.has("%3C"), "`%3C` is `<`, as a form sends it. First decode the text, then escape it."),
                (escaped(reply, "<b>loud", "loud").is_some(), escaped(reply, "<b>loud", "loud").unwrap_or_default()),
            ])
        },
    ),
    Check::post(Body::Long(995), "status 200: a body of 1,000 bytes is not too long", |reply, _| {
        first([
            (reply.status == 413, "The limit is too low: `pub const BODY_LIMIT: usize = 1000;`."),
            (reply.status != 200, WANTS_200),
            (!reply.has("Hello, 0000"), "The greeting does not have the name."),
        ])
    }),
    Check::post(Body::Long(996), "status 413: one byte more is too long", |reply, _| {
        first([
            (
                reply.status == 200,
                "The server took a body that is longer than 1,000 bytes. Every server needs a limit: `pub const BODY_LIMIT: usize = 1000;`.",
            ),
            (
                matches!(reply.status, 400 | 404 | 500),
                "The body was refused, but with another status. With `BODY_LIMIT` of 1000 the server itself answers 413.",
            ),
            (
                reply.status != 413,
                "The status is 413, Content Too Large. With `BODY_LIMIT` of 1000 the server itself answers so.",
            ),
        ])
    }),
];
