#!/usr/bin/perl

# $tollgate_* variables: in logs, headers, maps and the keys of limits.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get get_with header hs256 keys_file status /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http map proxy rewrite/)->plan(36);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone   zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier   free { requests 1000000r/h; }
    tollgate_tier   pro { requests 1000000r/h; }
    tollgate_tier   small { requests 1r/d; }

    tollgate_limit  by_client  key=$tollgate_client  requests=2r/d;
    tollgate_limit  by_tenant  key=$tollgate_tenant  requests=3r/d;
    tollgate_limit  by_both    key=$tollgate_client:$arg_session requests=1r/d;
    tollgate_limit  by_tier    key=tier-$tollgate_tier requests=1r/d;
    tollgate_limit  everybody  key=all               requests=1000000r/h;

    tollgate_auth          api_key jwt;
    tollgate_api_keys      keys.json;
    tollgate_jwt_key_file  secret;
    tollgate_jwt_claim     tenant org;

    map $tollgate_tier $backend {
        pro      127.0.0.1:8082;
        default  127.0.0.1:8081;
    }

    log_format  all  '$uri client=$tollgate_client key_id=$tollgate_key_id tier=$tollgate_tier '
                     'tenant=$tollgate_tenant auth=$tollgate_auth decision=$tollgate_decision '
                     'reason=$tollgate_reason id=$tollgate_request_id';

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        access_log %%TESTDIR%%/all.log all;

        add_header  X-Client   $tollgate_client    always;
        add_header  X-Reason   $tollgate_reason    always;
        add_header  X-Early    $early              always;
        set         $early     "early=$tollgate_client";

        tollgate on;

        location / {
            proxy_pass http://$backend;
        }

        location /by-client {
            tollgate_apply by_client;
            proxy_pass http://127.0.0.1:8081;
        }

        location /by-tenant {
            tollgate_apply by_tenant;
            proxy_pass http://127.0.0.1:8081;
        }

        location /by-both {
            tollgate_apply by_both;
            proxy_pass http://127.0.0.1:8081;
        }

        location /by-tier {
            tollgate_apply by_tier;
            proxy_pass http://127.0.0.1:8081;
        }

        location /none {
            tollgate_auth   none;
            tollgate_apply  by_client everybody;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /off {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        # where nginx answers before anybody is asked
        location /early {
            return 200 "client=$tollgate_client decision=$tollgate_decision";
        }

        location /redirected {
            try_files /no/such/file /target;
        }
    }

    server {
        listen       127.0.0.1:8081;
        listen       127.0.0.1:8082;
        server_name  localhost;

        location / {
            return 200 $server_port;
        }
    }
}

EOF

my $secret = 'a secret of thirty-two bytes or more';

$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ id => 'k_acme', key => 'tg_acme', client => 'acme', tier => 'pro' },
	{ id => 'k_bob', key => 'tg_bob', client => 'bob', tier => 'free' },
	{ id => 'k_bob2', key => 'tg_bob2', client => 'bob', tier => 'free' },
	{ id => 'k_small', key => 'tg_small', client => 'small', tier => 'small' },
	{ id => 'k_gone', key => 'tg_gone', client => 'gone', tier => 'free',
		disabled => JSON::PP::true() },
));
$t->run();

my @acme = ('Authorization: Bearer tg_acme');
my @bob = ('Authorization: Bearer tg_bob');

###############################################################################

# headers, maps

my $r = get('/', @acme);
is(header($r, 'X-Client'), 'acme', 'header');
is(header($r, 'X-Reason'), undef, 'no reason to refuse');
is(http_content($r), port(8082), 'backend of the tier');
is(http_content(get('/', @bob)), port(8081), 'another backend of another tier');
is(header($r, 'X-Early'), 'early=', 'nothing is known before the access phase');
$r = get('/', 'Authorization: Bearer tg_gone');
is(header($r, 'X-Reason'), 'revoked_credential', 'reason in a header');
is(header($r, 'X-Client'), undef, 'a key that is refused names nobody');
is(http_content(get('/early', @acme)), 'client= decision=', 'answered before the access phase');

# logs

get('/log/jwt', bearer(sub => 'carol', tier => 'pro', org => 'u-1'));
get('/log/missing');
get('/log/small', 'X-API-Key: tg_small') for 1, 2;
get('/log/tier', bearer(sub => 'dave', tier => 'no-such-tier'));
get('/log/conflict', @acme, 'X-API-Key: tg_bob');
get('/none/log', @acme);
get('/dry/log', 'Authorization: Bearer tg_nobody');
get('/off/log', @acme);
get('/redirected', @acme);
get('/log/id', @acme, 'X-Request-ID: my-id');

# limits by variables

my $three = sub { join ' ', map { status(get(@_)) } 1 .. 3 };
is($three->('/by-client', @acme), '200 200 429', 'by client');
is($three->('/by-client', @bob), '200 200 429', 'another client has a limit of his own');
is(status(get('/by-client', 'Authorization: Bearer tg_bob2')), 429, 'not another key of his');
is(status(get('/by-client', bearer(sub => 'acme', tier => 'free'))), 429, 'nor a token');
is($three->('/none', @acme), '200 200 200', 'nobody: the rule does not apply');

my @u1 = map { [bearer(sub => $_, tier => 'free', org => 'u-1')] } qw/e f g h/;
is(join(' ', map { status(get('/by-tenant', @$_)) } @u1), '200 200 200 429', 'by tenant');
my $u2 = bearer(sub => 'e', tier => 'free', org => 'u-2');
is(status(get('/by-tenant', $u2)), 200, 'another tenant, the same client');
is(join(' ', map { status(get('/by-tenant', @bob)) } 1 .. 4), '200 200 200 200', 'no tenant');

is(status(get('/by-both?session=1', @acme)), 200, 'by two');
is(status(get('/by-both?session=1', @acme)), 429, 'by two, again');
is(status(get('/by-both?session=2', @acme)), 200, 'by two, other session');
is(status(get('/by-both?session=1', @bob)), 200, 'by two, other client');

is(status(get('/by-tier', @acme)), 200, 'by tier');
is(status(get('/by-tier', bearer(sub => 'x', tier => 'pro'))), 429, 'by tier, another client');
is(status(get('/by-tier', @bob)), 200, 'by tier, another tier');

# A client can't choose whose limit he spends.
is(status(get('/by-tier', 'X-Client-Tier: small', bearer(sub => 'y', tier => 'pro'))), 429,
	'not by what the client says');

###############################################################################

$t->stop();
my @log = map { s/ id=[0-9a-f]{32}$/ id=made/r } split /\n/, $t->read_file('all.log');

sub logged {
	my ($uri) = @_;
	return [map { s/^\S+ //r } grep { /^\Q$uri\E / } @log];
}

my $nobody = 'client=- key_id=- tier=- tenant=- auth=-';
my %expected = (
	'/log/jwt' => ['client=carol key_id=- tier=pro tenant=u-1 auth=jwt decision=allow reason=- id=made'],
	'/log/missing' => ["$nobody decision=deny reason=missing_credential id=made"],
	'/log/conflict' => ["$nobody decision=deny reason=conflicting_credentials id=made"],
	'/none/log' => ["$nobody decision=allow reason=- id=made"],
	'/dry/log' => ["$nobody decision=deny reason=invalid_credential id=made"],
	'/off/log' => ["$nobody decision=- reason=- id=-"],
	'/early' => ["$nobody decision=- reason=- id=made"],
	'/target' =>
		['client=acme key_id=k_acme tier=pro tenant=- auth=api_key decision=allow reason=- id=made'],
	'/log/id' =>
		['client=acme key_id=k_acme tier=pro tenant=- auth=api_key decision=allow reason=- id=my-id'],
	'/log/small' => [map {
		"client=small key_id=k_small tier=small tenant=- auth=api_key decision=$_ id=made"
	} 'allow reason=-', 'deny reason=requests_exceeded'],
);
is_deeply(logged($_), $expected{$_}, "log, $_") for sort keys %expected;
like(logged('/log/tier')->[0], qr/tier=- .* decision=deny reason=tier_denied/, 'log, unknown tier');

is(scalar(grep { /tg_|eyJ/ } @log), 0, 'no credential in any variable');

###############################################################################

sub bearer {
	my (%claims) = @_;
	return 'Authorization: Bearer ' . hs256($secret, { exp => time() + 3600, %claims });
}

###############################################################################
