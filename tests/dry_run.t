#!/usr/bin/perl

# tollgate_dry_run: everything is decided, counted and logged, and nobody is refused.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->plan(46)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # As small as it may be, so that it can be filled.
    tollgate_zone zone=tollgate:64k;
    tollgate_endpoints  +*:/*;
    tollgate_tier two { requests 2r/h; }
    tollgate_limit failures key=$http_x_failures auth_failures=1r/h;
    tollgate_limit minted   key=$arg_x requests=1r/h;

    tollgate_api_keys  keys.json;
    tollgate_audit_log %%TESTDIR%%/audit.log;
    keepalive_requests 100000;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        add_header X-Decision "$tollgate_decision $tollgate_reason" always;

        location / {
            tollgate_dry_run on;
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;

            location /strict {
                tollgate_dry_run off;
                proxy_pass http://127.0.0.1:8081;
            }

            location /off {
                tollgate off;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /minted {
            tollgate_dry_run on;
            tollgate_auth none;
            tollgate_apply minted;
            proxy_pass http://127.0.0.1:8081;
        }

        location /any {
            tollgate_dry_run on;
            satisfy any;
            deny all;
            proxy_pass http://127.0.0.1:8081;
        }

        location /page {
            tollgate_dry_run on;
            error_page 401 429 = /page.html;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "$http_x_client_id,$http_x_client_tier,$http_x_api_key";
        }

        location /status/401 {
            return 401 ENGINE;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => 'two' } } qw/good spent strict any/),
	{ key => 'key-expired', client => 'late', tier => 'two', expires => '2020-01-01T00:00:00Z' },
	{ key => 'key-elsewhere', client => 'far', tier => 'two', cidrs => ['203.0.113.0/24'] },
	{ key => 'key-tierless', client => 'lost' },
));
$t->run();

###############################################################################

my $r = get('/', 'X-API-Key: key-good');
is(status($r), 200, 'who may pass, passes');
is(http_content($r), 'good,two,', 'with an identity, without the key');
is(header($r, 'X-Decision'), 'allow', 'decided');
is(header($r, 'x-ratelimit-remaining-requests'), 1, 'counted');

# whoever would be refused

for my $case (
	['missing_credential', ','],
	['invalid_credential', ',', 'X-API-Key: wrong'],
	['conflicting_credentials', ',', 'X-API-Key: a', 'Authorization: Bearer b'],
	['expired_credential', ',', 'X-API-Key: key-expired'],
	['address_denied', ',', 'X-API-Key: key-elsewhere'],
) {
	my ($reason, $identity, @lines) = @$case;
	$r = get('/', @lines, 'X-Client-ID: root', 'X_Client_Tier: root');
	is(status($r), 200, "$reason: let through");
	is(header($r, 'X-Decision'), "deny $reason", "$reason: decided");
	is(http_content($r), ',,', "$reason: a nobody to the backend, and no key");
	is(header($r, 'WWW-Authenticate'), undef, "$reason: no challenge");
}

$r = get('/', 'X-API-Key: key-tierless');
is(status($r) . ' ' . header($r, 'X-Decision'), '200 deny tier_denied', 'tier_denied');

get('/', 'X-API-Key: key-spent') for 1 .. 2;
$r = get('/', 'X-API-Key: key-spent');
is(status($r), 200, 'requests_exceeded: let through');
is(header($r, 'X-Decision'), 'deny requests_exceeded', 'requests_exceeded: decided');
is(http_content($r), 'spent,two,', 'requests_exceeded: the backend knows who it is');
is(header($r, 'x-ratelimit-remaining-requests'), 0, 'requests_exceeded: the client is told');
is(header($r, 'Retry-After'), undef, 'requests_exceeded: there is nothing to retry');

get('/', 'X-API-Key: wrong', 'X-Failures: a');
$r = get('/', 'X-API-Key: key-good', 'X-Failures: a');
is(status($r) . ' ' . header($r, 'X-Decision'), '200 deny auth_failures_exceeded',
	'auth_failures_exceeded');

# where it is not on

get('/strict', 'X-API-Key: key-strict') for 1 .. 2;
is(status(get('/strict', 'X-API-Key: key-strict')), 429, 'off in a nested location');
is(status(get('/strict')), 401, 'off in a nested location: without a key');
is(status(get('/strict', 'X-API-Key: key-spent')), 429, 'what was counted, counts there');
is(status(get('/off')), 200, 'tollgate off in a nested location');

# it grants nothing that somebody else refuses, and an answer of the backend is the backend's

is(status(get('/any')), 403, 'satisfy any: no way in');
is(status(get('/any', 'X-API-Key: key-any')), 200, 'satisfy any: but for who has a key');
is(status(get('/page')), 200, 'error_page: nothing to show');
$r = get('/status/401');
is(status($r), 401, 'a 401 of the backend');
is(http_content($r), 'ENGINE', 'with its own body');

# a part of the zone that is full

my $c = connection();
my $n = 0;
do {
	$r = $c->ask(request('/minted?x=' . $n++));
} while header($r, 'X-Decision') eq 'allow' && $n < 5000;
is(status($r) . ' ' . header($r, 'X-Decision'), '200 deny requests_exceeded',
	'counted with all for whom there is no room');

# the log

$t->stop();

my (%reason, @without);
for my $line (audit_lines($t, 'audit.log')) {
	push @without, $line->{path} if !$line->{dry_run} != ($line->{path} =~ m!^/(strict|off)!);
	$reason{$line->{reason} // 'none'} = $line->{status} if $line->{path} eq '/';
}
is("@without", '', 'log: dry_run where it is on, and nowhere else');
is($reason{$_}, 200, "log: $_") for qw/missing_credential address_denied requests_exceeded
	auth_failures_exceeded/;

###############################################################################
