#!/usr/bin/perl

# $tollgate_* before the request is judged: they are empty then. nginx -t warns of what reads them so early,
# and what a map made of them is made again once they are known.

use warnings;
use strict;

use Test::More;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw//;
use Tollgate qw/get header keys_file status/;
use Tollgate::Conf;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite map limit_req limit_conn split_clients/);

$t->write_file('keys.json', keys_file({ key => 'tg_acme', client => 'acme', tier => 'free' },
	{ key => 'tg_zenith', client => 'zenith', tier => 'free' },
	{ key => 'tg_off', client => 'off', tier => 'free', disabled => JSON::PP::true() }));
$t->write_file('zone.conf', "\nlimit_req_zone \$tollgate_client zone=a:1m rate=1r/s;\n");

my $later = ['before the request is judged', 'add_header'];
my @warned = (
	['limit_req', ['"limit_req_zone" reads "$tollgate_client"', 'limits nothing', 'requests=',
		'"tollgate_apply NAME;"'],
		http => "$usual{http}\nlimit_req_zone \$tollgate_client zone=a:1m rate=1r/s; # !",
		location => "$usual{location}\nlimit_req zone=a;"],
	['limit_req, not used yet', ['"limit_req_zone" reads "$tollgate_tenant"'],
		http => "$usual{http}\nlimit_req_zone \${tollgate_tenant} zone=a:1m rate=1r/s; # !"],
	['limit_conn', ['"limit_conn_zone" reads "$tollgate_key_id"', 'limits nothing', 'concurrency='],
		http => "$usual{http}\nlimit_conn_zone a-\$tollgate_key_id zone=a:1m; # !"],
	['limit_req by a map', ['"limit_req_zone" reads "$by_tier"', 'made of "$tollgate_tier"'],
		http => "$usual{http}\nlimit_req_zone \$by_tier zone=a:1m rate=1r/s; # !\n"
			. 'map $tollgate_tier $by_tier { free $binary_remote_addr; }'],
	['limit_req by what a map leads to', ['"limit_req_zone" reads "$who"', 'made of "$tollgate_client"'],
		http => "$usual{http}\nlimit_req_zone \$who zone=a:1m rate=1r/s; # !\n"
			. 'map $host $who { default $tollgate_client; }'],
	['limit_req in another file', ['"limit_req_zone" reads "$tollgate_client"', 'zone.conf:2'],
		http => "$usual{http}\ninclude zone*.conf;"],
	['if', ['"if" reads "$tollgate_tier"', @$later],
		location => "$usual{location}\nif (\$tollgate_tier = free) { return 403; } # !"],
	['if by a map', ['"if" reads "$blocked"', 'made of "$tollgate_client"', @$later],
		http => "$usual{http}\nmap \$tollgate_client \$blocked { acme 1; }",
		location => "$usual{location}\nif (\$blocked) { return 403; } # !"],
	['set', ['"set" reads "$tollgate_client"', @$later],
		location => "$usual{location}\nset \$who \$tollgate_client; # !"],
	['return', ['"return" reads "$tollgate_client"', @$later],
		location => "$usual{location}\nreturn 200 \"\$tollgate_client\"; # !"],
	['rewrite', ['"rewrite" reads "$tollgate_model"', @$later],
		location => "$usual{location}\nrewrite ^ /\$tollgate_model break; # !"],
	['auth_basic', ['"auth_basic" reads "$tollgate_tenant"', @$later],
		location => "$usual{location}\nauth_basic \$tollgate_tenant; # !\nauth_basic_user_file keys.json;"],
);

my @accepted = (
	['a map for what comes later', http => "$usual{http}\nmap \$tollgate_model \$backend { default a; }\n"
		. 'log_format a $tollgate_client:$backend;', location => "$usual{location}\n"
		. "proxy_set_header X-Tier \$tollgate_tier;\nadd_header X-Client \$tollgate_client;\n"
		. "access_log a.log a if=\$tollgate_reason;\nproxy_pass http://127.0.0.1:8081/\$backend;"],
	['limit_req by something else', http =>
		"$usual{http}\nlimit_req_zone \$binary_remote_addr zone=a:1m rate=1r/s;"],
	['in a named location', http => "$usual{http}\nlimit_req_zone \$tollgate_client zone=a:1m rate=1r/s;",
		location => "$usual{location}\ntry_files /none \@judged;", server => "location \@judged {\n"
		. "limit_req zone=a;\nif (\$tollgate_tier = free) { return 204; }\n}"],
	['on a page for errors', location => "$usual{location}\nerror_page 429 /limited;",
		server => 'location = /limited { return 429 "$tollgate_reason"; }'],
	['what is known at any time', server => 'location = /failed { return 200 $tollgate_failed_loads; }'],
	['where it is a word', location => "$usual{location}\n# set \$a \$tollgate_client;\n"
		. 'set $a "no tollgate_client";'],
);

$t->plan(@warned + 2 * @accepted + 14);

###############################################################################
# what was made of them too early is made again

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier      free { }
    tollgate_limit     per_group key=$group requests=1r/d burst=2 auth_failures=100r/s;

    # evaluated in the rewrite phase
    map $tollgate_client   $group    { default of-$tollgate_client; "" ""; zenith ""; }
    map $group             $again    { default again-$group; "" none; }
    map $tollgate_decision $verdict  { default none; allow let-in; deny kept-out; }
    map $arg_a             $other    { default other-$arg_a; }

    log_format all '$uri $group $again $verdict $tollgate_client';

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate           on;
        tollgate_api_keys  keys.json;
        access_log         %%TESTDIR%%/all.log all;

        add_header X-Group   "$group $again"   always;
        add_header X-Verdict "$verdict $other" always;

        set $early "$again$verdict$other";

        location / {
            proxy_set_header X-Group $group;
            proxy_pass http://127.0.0.1:8081;
        }

        location /limited {
            tollgate_apply per_group;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            add_header X-Got "$http_x_group";
            return 200;
        }
    }
}

EOF

$t->run();

my $r = get('/?a=1', 'Authorization: Bearer tg_acme');
is(header($r, 'X-Group'), 'of-acme again-of-acme', 'made again, in a header');
is(header($r, 'X-Got'), 'of-acme', 'made again, for the backend');
is(header($r, 'X-Verdict'), 'let-in other-1', 'made again, of the decision, beside what has nothing to do with it');

$r = get('/', 'Authorization: Bearer tg_zenith');
is(header($r, 'X-Group'), 'none', 'made again, of another client');

$r = get('/', 'Authorization: Bearer wrong');
is(header($r, 'X-Verdict'), 'kept-out other-', 'made again, for who is refused');
is(header($r, 'X-Group'), 'none', 'nobody');

$r = get('/', 'Authorization: Bearer tg_off');
is(header($r, 'X-Verdict'), 'kept-out other-', 'made again, for a key that is off');

# A rule that asks for its key before the client is known, as it counts failures, too.
is(status(get('/limited', 'Authorization: Bearer tg_acme')), 200, "a rule by a map, $_") for 1, 2;
$r = get('/limited', 'Authorization: Bearer tg_acme');
is(status($r), 429, 'a rule by a map, spent');
is(header($r, 'X-Verdict'), 'kept-out other-', 'made again, for who is at his limit');
is(status(get('/limited', 'Authorization: Bearer tg_zenith')), 200, 'a rule by a map, of which a client has none');

$t->stop();

my $log = $t->read_file('all.log');
like($log, qr!^/ of-acme again-of-acme let-in acme$!m, 'made again, in a log');
like($log, qr!^/limited of-acme again-of-acme kept-out acme$!m, 'made again, in the log of a refusal');

###############################################################################
# what nginx -t says of it

check_warned($t, $_) for @warned;
check_accepted($t, $_) for @accepted;

###############################################################################
