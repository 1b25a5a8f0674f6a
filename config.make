# How nginx's make gets the archive that `config` names. cargo knows itself what has changed.

case $NGX_OBJS in
    /*) tollgate_build_dir=$NGX_OBJS ;;
    *) tollgate_build_dir=$PWD/$NGX_OBJS ;;
esac

cat >>"$NGX_MAKEFILE" <<END

.PHONY: tollgate_always
tollgate_always:

$tollgate_archive: tollgate_always
	NGINX_SOURCE_DIR="$PWD" NGINX_BUILD_DIR="$tollgate_build_dir" \\
		$tollgate_cargo rustc --locked --manifest-path "$ngx_addon_dir/Cargo.toml" \\
		--package tollgate --lib --crate-type staticlib --features linked-in \\
		--profile $tollgate_profile --target-dir "$tollgate_target"

$NGX_OBJS/ngx_http_tollgate_module.so: $tollgate_archive
END
