#!/usr/bin/perl

# The "satisfy" directive, with whatever else can grant or refuse access: tollgate is one more of
# them, and the last that is asked.

use warnings;
use strict;

use Test::More;

use MIME::Base64 qw/ encode_base64 /;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header headers keys_file status /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http access auth_basic proxy rewrite/);

# Every combination has a location of its own.
my @auth_request = $t->has_module('auth_request') ? (0, 1) : (0);
my @places;
for my $satisfy (qw/any all/) {
	for my $access ('', qw/allow deny/) {
		for my $basic (0, 1) {
			push @places, map { [$satisfy, $access, $basic, $_] } @auth_request;
		}
	}
}

my $locations = join '', map {
	my ($satisfy, $access, $basic, $auth_request) = @$_;
	my $uri = uri($_);
	"        location $uri {\n"
		. "            satisfy $satisfy;\n"
		. ($access ? "            $access all;\n" : '')
		. ($basic ? "            auth_basic closed; auth_basic_user_file htpasswd;\n" : '')
		. ($auth_request ? "            auth_request /auth;\n" : '')
		. "            proxy_pass http://127.0.0.1:8081;\n"
		. "        }\n";
} @places;

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { requests 1000000r/h; }
    tollgate_tier      counted { requests 20r/d; }
    tollgate_tier      tiny { requests 1r/d; }
    tollgate_limit     failures key=$remote_addr auth_failures=3r/d;
    tollgate_limit     everybody key=all requests=1000000r/h;
    tollgate_api_keys  keys.json;

    add_header X-Decision $tollgate_decision always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;

%%LOCATIONS%%

        location /introduced {
            %%INTRODUCED%%
            proxy_pass http://127.0.0.1:8081;
        }

        location = /introduced/auth {
            internal;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:8081/auth;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }

        location /counted {
            proxy_pass http://127.0.0.1:8081;

            location /counted/denied {
                deny all;
                proxy_pass http://127.0.0.1:8081;
            }

            location /counted/basic {
                auth_basic closed;
                auth_basic_user_file htpasswd;
                proxy_pass http://127.0.0.1:8081;
            }

            location /counted/any {
                satisfy any;
                allow all;
                proxy_pass http://127.0.0.1:8081;
            }

            location /counted/failures {
                deny all;
                tollgate_apply failures;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /failures {
            tollgate_apply failures;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry {
            tollgate_dry_run on;
            satisfy any;
            proxy_pass http://127.0.0.1:8081;

            location /dry/denied {
                deny all;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /none {
            tollgate_auth none;
            tollgate_apply everybody;
            satisfy any;
            deny all;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 "client=$http_x_client_id authorization=$http_authorization key=$http_x_api_key";
        }

        location /introduced/auth {
            if ($http_x_client_id = root) {
                return 403;
            }
            return 204;
        }

        location /auth {
            if ($http_x_cookie = good) {
                return 204;
            }
            return 403;
        }
    }
}

EOF

$conf =~ s/%%LOCATIONS%%/$locations/;
$conf =~ s!%%INTRODUCED%%!@auth_request > 1 ? 'auth_request /introduced/auth;' : ''!e;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('htpasswd', "user:{PLAIN}password\n");
$t->write_file('keys.json', keys_file(
	{ key => 'tg_acme', client => 'acme', tier => 'free' },
	{ key => 'tg_counted', client => 'counted', tier => 'counted' },
	{ key => 'tg_tiny', client => 'tiny', tier => 'tiny' },
	{ key => 'tg_elsewhere', client => 'elsewhere', tier => 'free', cidrs => ['203.0.113.0/24'] },
));

$t->plan(@places + 35);
$t->run();

my @user = ('Authorization: Basic ' . encode_base64('user:password', ''));
my @intruder = ('Authorization: Basic ' . encode_base64('user:wrong', ''));
my @key = ('X-API-Key: tg_acme');

###############################################################################

# every location, with every combination of credentials

for my $place (@places) {
	my @surprises;
	for my $basic ('', qw/good bad/) {
		for my $cookie (qw/good bad/) {
			for my $key ('', qw/good bad/) {
				my $problem = surprise($place, $basic, $cookie, $key);
				push @surprises, "basic '$basic', cookie '$cookie', key '$key': $problem" if $problem;
			}
		}
	}
	my ($satisfy, $access, $has_basic, $has_request) = @$place;
	is(join("\n", @surprises), '', join ' ', $satisfy, 'of tollgate', $access || (),
		$has_basic ? 'auth_basic' : (), $has_request ? 'auth_request' : ());
}

# what the client is told

my $r = get('/any--1-0');
is_deeply([headers($r, 'WWW-Authenticate')], ['Basic realm="closed"', 'Bearer realm="tollgate"'],
	'any, both challenges');
is(header($r, 'Content-Type'), 'application/json', 'any, our words');
is_deeply([headers(get('/all--1-0'), 'WWW-Authenticate')], ['Basic realm="closed"'],
	'all, one at a time');
is_deeply([headers(get('/all--1-0', @user), 'WWW-Authenticate')], ['Bearer realm="tollgate"'],
	'all, and then the other');
$r = get('/any-deny-0-0', 'X-API-Key: tg_wrong');
is(status($r) . header($r, 'Content-Type'), '401application/json', 'any, denied, wrong key');
$r = get('/all-deny-0-0', 'X-API-Key: tg_wrong');
is(status($r) . header($r, 'Content-Type'), '403text/html', "all, denied: nginx's own page");
$r = get('/any-deny-0-0', 'X-API-Key: tg_elsewhere');
is(status($r) . header($r, 'Content-Type'), '403application/json', 'any, key from elsewhere');
is(status(get('/any--1-0', @user, 'X-API-Key: tg_elsewhere')), 200, 'any, granted by the other');
is(header(get('/any--1-0', @user, 'X-API-Key: tg_wrong'), 'X-Decision'), 'allow',
	'any, granted by the other, so it is allowed');

# other refusals than 401 and 403

is(status(get('/any-deny-0-0', @key, 'X-API-Key: tg_counted')), 400, 'any, two credentials');
is(status(get('/any--1-0', @user, @key, 'X-API-Key: tg_counted')), 200, 'any, granted before');
is(status(get('/any-deny-0-0', 'X-API-Key: tg_tiny')), 200, 'any, within the limit');
$r = get('/any-deny-0-0', 'X-API-Key: tg_tiny');
is(status($r), 429, 'any, above the limit');
ok(header($r, 'Retry-After') > 0, 'any, above the limit, when again');
is(header($r, 'WWW-Authenticate'), undef, 'any, above the limit, no challenge');
is(status(get('/any--1-0', @user, 'X-API-Key: tg_tiny')), 200, 'any, the limit is none for the user');
is(status(get('/all--1-0', @user, 'X-API-Key: tg_tiny')), 429, 'all, above the limit');

# what others refuse, or grant without us, spends nothing

my @counted = ('X-API-Key: tg_counted');
is(remaining(get('/counted', @counted)), 19, 'a request');
is(status(get('/counted/denied', @counted)), 403, 'denied') for 1 .. 3;
is(status(get('/counted/basic', @counted, @intruder)), 401, 'wrong password') for 1 .. 2;
is(status(get('/counted/any', @counted)), 200, 'granted by others');
is(status(get('/counted/failures', 'X-API-Key: tg_wrong')), 403, 'denied, wrong key') for 1 .. 4;
is(remaining(get('/counted/basic', @counted, @user)), 18, 'nothing was spent in between');
is(status(get('/failures', @key)), 200, 'nor any failure counted');

# what lets anybody pass is no reason to grant access

is(status(get('/dry', 'X-API-Key: tg_wrong')), 200, 'any, dry run alone');
is(status(get('/dry/denied', 'X-API-Key: tg_wrong')), 403, 'any, dry run, denied by another');
is(status(get('/none')), 403, 'any, anonymous, denied by another');

# who asks another service doesn't believe the client about his name, either

is(status(get('/introduced', @key)), 200, 'auth_request');
is(status(get('/introduced', @key, 'X-Client-ID: root')), 200, 'auth_request, name of the client');

###############################################################################

sub uri {
	my ($place) = @_;
	return '/' . join '-', @$place;
}

sub remaining {
	my ($r) = @_;
	return header($r, 'x-ratelimit-remaining-requests');
}

# Asks for a place, and says what is wrong with the answer.
sub surprise {
	my ($place, $basic, $cookie, $key) = @_;
	my ($satisfy, $access, $has_basic, $has_request) = @$place;

	my @lines = ('X-Client-ID: root', "X-Cookie: $cookie");
	push @lines, $basic eq 'good' ? @user : @intruder if $basic;
	push @lines, $key eq 'good' ? @key : 'X-API-Key: tg_wrong' if $key;
	my $r = get(uri($place), @lines);

	# Who is asked before tollgate, and after all tollgate: grants, or refuses with a status.
	my @before = (
		$access ? ($access eq 'allow' ? 200 : 403) : (),
		$has_basic ? ($basic eq 'good' ? 200 : 401) : (),
		$has_request ? ($cookie eq 'good' ? 200 : 403) : (),
	);
	my @all = (@before, $key eq 'good' ? 200 : 401);
	my @refused = grep { $_ != 200 } @all;

	my $granted = $satisfy eq 'any' ? @refused < @all : !@refused;
	# nginx prefers 401 to 403 with "any".
	my %possible = map { $_ => 1 } $granted ? 200
		: $satisfy eq 'any' && grep({ $_ == 401 } @refused) ? 401 : @refused;
	my $status = status($r) // 'none';
	return "$status instead of " . join ' or ', sort keys %possible unless $possible{$status};

	my @challenges = headers($r, 'WWW-Authenticate');
	return "challenges: @challenges" if ($status == 401) != (@challenges > 0);
	return '' unless $granted;

	# Tollgate is asked unless another has granted access.
	my $is_asked = $satisfy eq 'all' || !grep { $_ == 200 } @before;
	my $client = $is_asked ? 'acme' : '';
	my $content = http_content($r);
	return $content eq "client=$client authorization= key=" ? '' : $content;
}

###############################################################################
