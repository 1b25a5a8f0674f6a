#!/usr/bin/perl

# What all workers count is on one page, for Prometheus, in both of its formats.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Metrics;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite gzip/)->plan(63);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro { }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            tollgate on;
            tollgate_api_keys %%TESTDIR%%/keys.json;
            tollgate_default_tier pro;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /metrics {
            tollgate_metrics;
            allow 127.0.0.1;
            deny  all;
        }

        location /compressed {
            gzip              on;
            gzip_types        text/plain application/openmetrics-text;
            gzip_http_version 1.0;
            tollgate_metrics  clients=10;
            allow 127.0.0.1;
            deny  all;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "{}";
        }
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file({ key => 'key-alice', client => 'alice' }));
$t->run();

my $m;
ok(poll { sum($m = metrics(), 'tollgate_workers') == 2 }, 'all workers');
is(sum($m, $_), 0, "$_ is there before anything happens") for qw/tollgate_panics_total
	tollgate_uncounted_requests_total tollgate_audit_lines_total tollgate_state_writes_total
	tollgate_zone_full_total/;
is(scalar series($m, 'tollgate_requests_total'), 0, 'what has no end of labels is not');
my ($families) = scalar(() = $m->{text} =~ /^# TYPE tollgate_/mg);
cmp_ok($families, '>=', 30, 'all metrics are named');
is(scalar(() = $m->{text} =~ /^# HELP tollgate_\w+ \S/mg), $families, 'and explained');
like($m->{text}, qr/^tollgate_build_info\{version="[0-9.]+",nginx="[0-9.]+"\} 1$/m, 'versions');

look('/v1/models', 'key-alice') for 1 .. 3;
look('/v1/models', 'key-nobody') for 1 .. 2;

$m = metrics();
my %flow = (tier => 'pro', model => '', endpoint => '/v1/models');
is(sum($m, 'tollgate_requests_total', %flow, decision => 'allow', reason => ''), 3, 'let in');
my %refused = (tier => '', decision => 'deny', reason => 'invalid_credential');
is(sum($m, 'tollgate_requests_total', %refused), 2, 'refused');
is(sum($m, 'tollgate_requests_total'), 5, 'and nothing else: to look is no request of a client');
is(sum($m, 'tollgate_request_duration_seconds_count'), 5, 'each has taken some time');
is(sum($m, 'tollgate_request_duration_seconds_bucket', le => '+Inf'), 5, 'in a bucket');
is(sum($m, 'tollgate_keys', state => 'active'), 1, 'keys in force');
is(sum($m, 'tollgate_keys', state => $_), 0, "keys that are $_") for qw/disabled expired not_yet_valid refused/;
cmp_ok(sum($m, 'tollgate_zone_slots', part => 'clients', state => 'free'), '>', 0, 'room in the zone');
is(sum($m, 'tollgate_zone_slots', part => 'workers', state => 'used'), 2, 'places of workers');
is(sum($m, 'tollgate_auth_total', method => 'api_key', result => 'accepted'), 3, 'keys');
is(sum($m, 'tollgate_auth_total', method => 'api_key', result => 'invalid_credential'), 2,
	'wrong keys');

###############################################################################

my $prometheus = qr!^text/plain; version=0\.0\.4; charset=utf-8$!;
my $open = qr!^application/openmetrics-text; version=1\.0\.0; charset=utf-8$!;
my $page = get('/metrics');
is(status($page), 200, 'the page');
like(header($page, 'Content-Type'), $prometheus, 'its type where nobody asks for another');
is(header($page, 'Cache-Control'), 'no-store', 'it is as of now');
is(header($page, 'Vary'), 'Accept', 'and depends on who asks');
like($page, qr/^# TYPE tollgate_requests_total counter$/m, 'the older format');
unlike($page, qr/^# (?:UNIT|EOF)/m, 'knows no units, and no end');

# As Prometheus 2.42 asks.
my $accept = 'Accept: application/openmetrics-text;version=1.0.0,'
	. 'application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
$page = get('/metrics', $accept);
like(header($page, 'Content-Type'), $open, 'OpenMetrics');
like($page, qr/^# TYPE tollgate_requests counter$/m, 'a counter is called as OpenMetrics has it');
like($page, qr/^# UNIT tollgate_request_duration_seconds seconds$/m, 'with units');
like($page, qr/\n# EOF\n\z/, 'and with an end');
like(header(get('/metrics', 'Accept: application/openmetrics-text;q=0, */*'), 'Content-Type'),
	$prometheus, 'who does not want it');
like(header(get('/metrics', 'Accept: text/plain;q=0.2', 'Accept: application/openmetrics-text'),
	'Content-Type'), $open, 'two header lines');

my $head = http_head('/metrics');
like($head, qr!^HTTP/1.1 200 OK.*Content-Length: [1-9]!s, 'its head');
is(http_content($head), '', 'has no body');
my $post = http("POST /metrics HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}");
like($post, qr!^HTTP/1.1 405.*^Allow: GET, HEAD!ms, 'it takes nothing');

$page = get('/compressed', 'Accept-Encoding: gzip');
is(header($page, 'Content-Encoding'), 'gzip', 'nginx compresses it');
cmp_ok(length $page, '<', length(get('/compressed')) / 3, 'well');
is(sum(metrics('/compressed'), 'tollgate_requests_total'), 5, 'and it is the same page');

###############################################################################

$t->reload();
look('/v1/models', 'key-alice');
is(sum(metrics(), 'tollgate_requests_total', decision => 'allow'), 4,
	'what was counted outlives a reload');

my $protected = "tollgate on;\ntollgate_api_keys keys.json;\n";
my $form = '"clients=N"';
my %files = (files => { 'keys.json' => keys_file({ key => 'k', client => 'c', tier => 'free' }) });
check_refused($t, $_) for (
	['no clients', ['clients=0', $form], location => "tollgate_metrics clients=0; # !"],
	['too many', ['clients=1001', '1000'], location => "tollgate_metrics clients=1001; # !"],
	['no number', ['clients=all', $form], location => "tollgate_metrics clients=all; # !"],
	['another word', ['verbose', $form], location => "tollgate_metrics verbose; # !"],
	['two words', ['clients=2', $form],
		location => "tollgate_metrics clients=1 clients=2; # !"],
	['twice', ['another directive'], location => "tollgate_metrics;\ntollgate_metrics; # !"],
	['beside proxy_pass', ['another directive', 'location of its own'],
		location => "proxy_pass http://127.0.0.1:8081;\ntollgate_metrics; # !"],
	['in a server', ['not allowed here'], server => "tollgate_metrics; # !"],
);

for my $page (qw/tollgate_metrics tollgate_status/) {
	check_warned($t, $_) for (
		["$page for everybody", ["\"$page\" shows to everybody", 'deny all', '"admin"'], %files,
			location => $protected, server => "location /p {\ntollgate off;\n$page; # !\n}"],
		["$page without anything to show", ['have nothing to show'],
			location => "deny all;\n$page;"],
	);
	check_accepted($t, $_) for (
		["$page, guarded by nginx", %files, location => $protected,
			server => "location /p {\ntollgate off;\nallow 127.0.0.1;\ndeny all;\n$page;\n}"],
		["$page, guarded by its scope", %files, location => $protected,
			server => "location /p {\n$protected\n$page;\n}"],
	);
}

###############################################################################

sub look {
	my ($uri, $key) = @_;
	return get($uri, "Authorization: Bearer $key");
}
