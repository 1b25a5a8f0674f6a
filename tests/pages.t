#!/usr/bin/perl

# A page of Tollgate's where "tollgate on" protects it: it is for those who have its scope, and costs nothing.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite ssi/)->has_daemon('curl')->plan(44)
	->write_file_expand('nginx.conf', <<'EOC');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone  zone=tollgate:1m;

    tollgate_tier  free   { requests 3r/h; }
    tollgate_tier  staff  { scopes chat models admin; requests 3r/h; concurrency 1; }
    tollgate_tier  fenced { scopes admin; cidrs 192.0.2.0/24; }
    tollgate_limit each   key=$remote_addr requests=1000r/h;
    tollgate_limit wrong  key=$server_port auth_failures=3r/h;

    tollgate_default_tier  free;
    tollgate_api_keys      keys.json;
    tollgate_audit_log     %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate         on;
        tollgate_engine  vllm;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /metrics {
            tollgate_metrics;
        }

        location /dry/ {
            tollgate_dry_run  on;
            tollgate_metrics;
        }

        location /anybody/ {
            tollgate_auth   none;
            tollgate_apply  each;
            tollgate_metrics;
        }

        location /off/ {
            tollgate          off;
            tollgate_metrics;
        }

        location /allowed/ {
            satisfy           any;
            allow             127.0.0.1;
            deny              all;
            tollgate_metrics;
        }

        location /denied/ {
            satisfy           any;
            deny              all;
            tollgate_metrics;
        }

        location /both/ {
            deny              all;
            tollgate_metrics;
        }

        # From a page to the engine.
        location /onwards/ {
            error_page        405 = @engine;
            tollgate_metrics;
        }

        location @engine {
            proxy_pass http://127.0.0.1:8081;
        }

        # From the engine to a page.
        location /intercept/ {
            proxy_intercept_errors  on;
            error_page              404 = /metrics;
            proxy_pass              http://127.0.0.1:8081/;
        }

        # From a refusal to a page.
        location /refused/ {
            error_page  401 403 = /metrics;
            proxy_pass  http://127.0.0.1:8081;
        }

        location = /ssi.html {
            ssi   on;
            root  %%TESTDIR%%;
        }

        location = /wrong/ {
            tollgate_apply    wrong;
            tollgate_metrics;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "{\"engine\": true}";
        }

        location /v1/models/gone {
            return 404;
        }
    }
}

EOC

$t->write_file('ssi.html', 'before <!--# include virtual="/metrics" --> after');
$t->write_file('keys.json', keys_file(
	{ key => 'key-free', client => 'free' },
	{ key => 'key-staff', client => 'staff', tier => 'staff' },
	{ key => 'key-fenced', client => 'fenced', tier => 'fenced' },
	{ key => 'key-admin', client => 'admin', scopes => ['admin'] },
	{ key => 'key-old', client => 'old', scopes => ['admin'], expires => '2020-01-01T00:00:00Z' },
));
$t->run();

my $page = qr/^# TYPE tollgate_requests_total counter/m;

###############################################################################

is_shown('/metrics', 'admin', 'the scope "admin" of a key opens a page');
is_shown('/metrics', 'staff', 'and so does that of a tier');
is_refused('/metrics', 'free', 403, 'another client');
is_refused('/metrics', undef, 401, 'nobody');
is_refused('/metrics', 'wrong', 401, 'a wrong key');
is_refused('/metrics', 'old', 401, 'an expired key');
is_refused('/metrics', 'fenced', 403, 'a key from outside of the networks of its tier');

is_refused('/dry/', 'free', 403, 'a dry run shows it to nobody else: another client');
is_refused('/dry/', undef, 401, 'nobody under a dry run');
is_shown('/dry/', 'admin', 'a dry run, and the scope');

is_refused('/anybody/', undef, 403, 'nobody has the scope where nobody is asked who he is');
is_shown('/off/', undef, 'nothing is protected with "tollgate off"');

is_shown('/allowed/', undef, '"satisfy any": an address that is allowed');
is_refused('/denied/', 'free', 403, '"satisfy any": another client');
is_shown('/denied/', 'admin', '"satisfy any": the scope');
is_refused('/both/', 'admin', 403, 'the scope from an address that is denied');

is_refused('/refused/v1/models', undef, 401, 'the page in the place of a refusal');
is_refused('/intercept/v1/models/gone', 'free', 403, 'the page in the place of an answer, for another client');
is_shown('/intercept/v1/models/gone', 'admin', 'and for an operator');
unlike(get('/ssi.html', auth('admin')), $page, 'the page in another page is not shown');

###############################################################################

# It is no way around limits, and spends none.

is_shown('/metrics', 'staff', "a page costs nothing, look $_") for 1 .. 6;
is(status(get('/v1/models', auth('staff'))), 200, "request $_ of the tier") for 1 .. 3;
is(status(get('/v1/models', auth('staff'))), 429, 'the limit holds for others');
is_shown('/metrics', 'staff', 'whoever has spent his limit may look');

my $post = "POST /onwards/ HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n";
unlike(http("$post\r\n"), qr/engine/, 'who is nobody gets nowhere from a page');
my $free = http($post . auth('free') . "\r\n\r\n");
unlike($free, qr/engine/, 'from a page to an endpoint that is closed');
is(status(http($post . auth('admin') . "\r\n\r\n")), 200, 'and to one that is open to him');

is_refused('/wrong/', 'wrong', 401, "wrong key $_") for 1 .. 3;
is_refused('/wrong/', 'admin', 429, 'whoever tries too many keys');

###############################################################################

my $url = 'http://127.0.0.1:' . port(8082) . '/metrics';
my @h2 = (qw/--http2-prior-knowledge -H/, auth('admin'));
like(curl(@h2, $url), $page, 'HTTP/2');
like(curl('-I', @h2, $url), qr!^HTTP/2 200.*^content-length: [1-9]!ms, 'its head');
is(curl('-X', 'DELETE', qw/-o - -w %{http_code}/, @h2, $url) =~ /405$/, 1, 'another method');
is(curl('-w', '%{http_code}', qw/-o - --http2-prior-knowledge/, $url) =~ /401$/, 1, 'no key');

my @lines = grep { $_->{path} eq '/metrics' } audit_lines($t, 'audit.log', 20);
my @shown = grep { $_->{decision} eq 'allow' } @lines;
cmp_ok(@shown, '>=', 9, 'who has looked is in the log');
is_deeply([ grep { defined $_->{limit} } @shown ], [], 'without any limit');

###############################################################################

sub auth {
	my ($name) = @_;
	return defined $name ? "Authorization: Bearer key-$name" : ();
}

sub look {
	my ($uri, $name) = @_;
	return get($uri, auth($name));
}

sub is_shown {
	my ($uri, $name, $title) = @_;
	like(look($uri, $name), qr/^HTTP\S+ 200 .*$page/s, $title);
}

sub is_refused {
	my ($uri, $name, $code, $title) = @_;
	my $answer = look($uri, $name);
	my $shows = $answer =~ /tollgate_requests_total/ ? ', shown' : '';
	is(status($answer) . $shows, $code, $title);
}
