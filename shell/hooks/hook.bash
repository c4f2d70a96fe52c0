# aws-runas keeps the AWS credentials of this shell fresh. bash 3.2 and later.
__awsrunas_exe=@EXE@
__awsrunas_nil='' __awsrunas_ran='' __awsrunas_told=0 __awsrunas_try=0

unalias @FUNCTION@ 2>/dev/null || :
function @FUNCTION@ {
  local code=0
  __awsrunas_ask __switch bash @FUNCTION@ "$@" || code=$?
  case $code in
  0) __awsrunas_told=0 __awsrunas_try=0 ;;
  @NOSWITCH@) "$__awsrunas_exe" "$@" ;;
  *) return "$code" ;;
  esac
}

# Evaluates the program's answer, which set -x is not to show.
__awsrunas_ask() {
  local out code=0 traced=${-//[!x]/}
  set +x
  out=$("$__awsrunas_exe" "$@") || code=$?
  if ((code == 0)); then
    \builtin eval "$out"
  fi
  if [[ -n $traced ]]; then
    set -x
  fi
  return "$code"
}

# The hook runs at every prompt: builtins alone, until something is due.
__awsrunas_hook() {
  local code=$?
  __awsrunas_tick || : # after || a failure does not end a shell with set -e
  case $- in
  *e*) return 0 ;; # this status would end it
  esac
  return "$code"
}

__awsrunas_tick() {
  local IFS=$' \t\n' now='' ran=$__awsrunas_ran
  __awsrunas_ran=
  if [[ -n ${AWSRUNAS_KEY_ID-} && ${AWS_ACCESS_KEY_ID-} != "$AWSRUNAS_KEY_ID" ]]; then
    __awsrunas_forget # another tool has taken over
  fi
  if [[ ${AWSRUNAS_AUTO-} == 1 || -n ${AWSRUNAS_BEFORE-} ]]; then
    __awsrunas_folder
  fi
  if [[ -n ${AWSRUNAS_KEY_ID-} && -n ${AWSRUNAS_EXPIRES_AT-} ]]; then
    # Arithmetic would run commands that a number holds.
    case ${AWSRUNAS_EXPIRES_AT}${AWSRUNAS_REFRESH_AT-} in
    *[!0-9]*) __awsrunas_remove ;;
    *)
      __awsrunas_now
      if ((now >= ${AWSRUNAS_REFRESH_AT:-$AWSRUNAS_EXPIRES_AT})); then
        __awsrunas_due
      fi
      ;;
    esac
  fi
  __awsrunas_show
}

# Sets now to the seconds since 1970, without a fork.
__awsrunas_now() {
  if [[ -n ${EPOCHSECONDS-} ]]; then
    now=$EPOCHSECONDS
  elif [[ -z ${__awsrunas_epoch-} ]]; then
    printf -v now '%(%s)T' -1
  else
    now=$((__awsrunas_epoch + SECONDS))
  fi
}
if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 402)); then
  __awsrunas_epoch=$(($(command date +%s) - SECONDS))
fi

# Renews, and removes what has expired nevertheless. A failure is followed by
# another attempt after 30 s, and by one at the expiry.
__awsrunas_due() {
  local code=0 expired=$AWSRUNAS_EXPIRES_AT profile=${AWSRUNAS_PROFILE-}
  if ((now >= __awsrunas_try)); then
    # Set before the attempt, which Ctrl-C may end.
    __awsrunas_try=$((now < expired && expired < now + 30 ? expired : now + 30))
    if [[ -x $__awsrunas_exe ]]; then
      __awsrunas_ask env --renew --no-input --shell bash --function @FUNCTION@ --told "$__awsrunas_told" || code=$?
    else
      code=127
      if [[ $__awsrunas_told != 127 ]]; then
        printf 'aws-runas: %s is not there, so nothing is renewed\n' "$__awsrunas_exe" >&2
      fi
    fi
    __awsrunas_told=$code
    __awsrunas_now
    if ((code == 0 && ${AWSRUNAS_REFRESH_AT:-0} > now)); then
      __awsrunas_try=0
    fi
  fi
  if [[ ${AWSRUNAS_EXPIRES_AT-} == "$expired" ]] && ((now >= expired)); then
    __awsrunas_remove
    printf 'aws-runas: the credentials of %s have expired and are removed: @FUNCTION@ - gets new ones\n' "${profile//[[:cntrl:]]/?}" >&2
  fi
  if [[ -n $ran && -z ${__awsrunas_hinted-} ]] && ((now >= expired && now - SECONDS + ran - 1 < expired)); then
    __awsrunas_hinted=1
    printf 'hint: aws-runas %q -- COMMAND renews while it runs\n' "$profile" >&2
  fi
}

# Takes back all that was exported. Changed since, it is the user's: only the
# program can tell; where it cannot, all goes.
__awsrunas_remove() {
  local list name previous=${AWSRUNAS_RENEW-} before=${AWSRUNAS_BEFORE-}
  if [[ -x $__awsrunas_exe ]]; then
    __awsrunas_ask env --unset --shell bash || :
  fi
  if [[ -n ${AWSRUNAS_KEY_ID-} ]]; then
    list=${AWSRUNAS_EXPORTS-},
    while [[ -n $list ]]; do
      name=${list%%[:,]*}
      list=${list#*,}
      case $name in
      *[!A-Za-z0-9_]*) ;;
      AWS*) unset "$name" ;;
      esac
    done
    __awsrunas_forget
  fi
  export AWSRUNAS_PREVIOUS=$previous
  if [[ -n $before ]]; then
    export AWSRUNAS_BEFORE=$before
  fi
}

# Removes the marks alone.
__awsrunas_forget() {
  export AWSRUNAS_PREVIOUS=${AWSRUNAS_RENEW-}
  if [[ ${AWSUME_PROFILE-} == "${AWSRUNAS_PROFILE-}" ]]; then
    unset AWSUME_PROFILE
  fi
  unset AWSRUNAS_PROFILE AWSRUNAS_ACCOUNT AWSRUNAS_KEY_ID AWSRUNAS_EXPIRES_AT AWSRUNAS_REFRESH_AT \
    AWSRUNAS_RENEW AWSRUNAS_EXPORTS AWSRUNAS_BEFORE
}

# Enters the profile that the nearest .awsprofile names, or leaves the last one.
__awsrunas_folder() {
  local dir=$PWD file='' name=''
  if [[ ${AWSRUNAS_AUTO-} == 1 ]]; then
    while :; do
      if [[ -f $dir/.awsprofile && -r $dir/.awsprofile ]]; then
        file=$dir/.awsprofile
        break
      fi
      if [[ $dir != */* ]]; then
        break
      fi
      dir=${dir%/*}
    done
  fi
  # -N: written since it was read
  if [[ $file == "${__awsrunas_file-}" && (-z $file || ! -N $file) ]]; then
    return
  fi
  if [[ -n $file && -O $file ]]; then
    read -r -n 256 name <"$file" || :
    name=${name%"${name##*[![:space:]]}"}
  fi
  if [[ $file == "${__awsrunas_file-}" && $name == "${__awsrunas_name-}" ]]; then
    return
  fi
  __awsrunas_file=$file __awsrunas_name=$name
  if [[ -n $file && ! -O $file ]]; then
    printf 'aws-runas: %s belongs to another user and is not read\n' "${file//[[:cntrl:]]/?}" >&2
  fi
  if [[ -n $name ]]; then
    if [[ $name == "${AWSRUNAS_PROFILE-}" || ${AWS_ACCESS_KEY_ID-} != "${AWSRUNAS_KEY_ID-}" ]]; then
      return # it is there, or another tool's keys are
    fi
    if __awsrunas_ask env --enter="$name" --no-input --shell bash --function @FUNCTION@; then
      __awsrunas_told=0 __awsrunas_try=0
      return
    fi
  fi
  if [[ -n ${AWSRUNAS_BEFORE-} ]]; then
    if __awsrunas_ask env --leave --no-input --shell bash --function @FUNCTION@; then
      __awsrunas_told=0 __awsrunas_try=0
    else
      __awsrunas_remove
    fi
    unset AWSRUNAS_BEFORE
  fi
}

# Keeps AWSRUNAS_PROMPT current, and the segment in PS1.
__awsrunas_show() {
  local name left glob rest text='' warn=''
  if [[ -n ${AWSRUNAS_PROFILE-} ]]; then
    name=${AWSRUNAS_PROFILE//[[:cntrl:]]/?}
    text=$name
    if [[ -n $now && -n ${AWSRUNAS_EXPIRES_AT-} ]]; then
      left=$((AWSRUNAS_EXPIRES_AT - now))
      if ((left >= 3600)); then
        rest=0$((left % 3600 / 60))
        text+=" $((left / 3600))h${rest: -2}m"
      elif ((left >= 60)); then
        text+=" $((left / 60))m"
      else
        text+=" ${left}s"
      fi
    fi
    case ${AWSRUNAS_DEPTH-} in
    '' | 1) ;;
    *) text+=" (${AWSRUNAS_DEPTH//[!0-9]/})" ;;
    esac
  fi
  if [[ $text != "${AWSRUNAS_PROMPT-}" || ${AWSRUNAS_WARN-*prod*} != "${__awsrunas_warn- }" ]]; then
    __awsrunas_warn=${AWSRUNAS_WARN-*prod*}
    if [[ -z $text ]]; then
      unset AWSRUNAS_PROMPT
      __awsrunas_ps1=
      return
    fi
    export AWSRUNAS_PROMPT=$text
    rest="$__awsrunas_warn "
    while [[ -n $rest ]]; do
      glob=${rest%%[ ,]*}
      rest=${rest#*[ ,]}
      # shellcheck disable=SC2053 # it is a pattern
      if [[ -n $glob && $name == $glob ]]; then
        warn=1
      fi
    done
    if [[ -n ${NO_COLOR-} || ${TERM:-dumb} == dumb ]]; then
      __awsrunas_ps1="[${warn:+! }$text] "
    else
      # \001 and \002 tell readline what takes no room on the line.
      glob=${warn:+'1;37;41'}
      __awsrunas_ps1=$'\001\e['${glob:-36}$'m\002['$text$']\001\e[0m\002 '
    fi
  fi
}

# Puts the segment into PS1, after whatever makes that anew at every prompt.
__awsrunas_draw() {
  local code=$?
  case ${PS1-} in
  '' | *__awsrunas_ps1* | *AWSRUNAS_PROMPT*) ;;
  *)
    if [[ -n ${__awsrunas_ps1-} && ${AWSRUNAS_SEGMENT-} != off ]] && ! declare -F starship_precmd >/dev/null && ! declare -F _omp_hook >/dev/null; then
      # shellcheck disable=SC2016
      case $PS1 in
      '\n'*) PS1='\n${__awsrunas_ps1-}'${PS1#'\n'} ;; # an empty line stays one
      *) PS1='${__awsrunas_ps1-}'$PS1 ;;
      esac
    fi
    ;;
  esac
  case $- in
  *e*) return 0 ;;
  esac
  return "$code"
}

__awsrunas_install() {
  local flags version=$((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1]))
  # A shell that inherits PROMPT_COMMAND alone has nothing to run. Quotes, since
  # IFS may split the rest.
  # shellcheck disable=SC2016
  local hook='${__awsrunas_exe:+"__awsrunas_hook"}' draw='${__awsrunas_exe:+"__awsrunas_draw"}'
  # starship and VS Code keep what they found in variables of their own.
  case "${PROMPT_COMMAND[*]-} ${STARSHIP_PROMPT_COMMAND-} ${__vsc_original_prompt_command[*]-}" in
  *__awsrunas_hook*) ;;
  *)
    flags=$(declare -p PROMPT_COMMAND 2>/dev/null) || flags='declare -- '
    flags=${flags#declare -}
    flags=${flags%% *}
    if [[ $flags == *r* ]]; then
      printf 'aws-runas: PROMPT_COMMAND is readonly: nothing is renewed in this shell\n' >&2
    elif [[ $flags == *a* ]] && ((version >= 501)); then
      PROMPT_COMMAND=("$hook" "${PROMPT_COMMAND[@]}" "$draw")
    else # an older bash runs the first element alone
      # shellcheck disable=SC2128,SC2178
      PROMPT_COMMAND="$hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}"$'\n'"$draw"
    fi
    ;;
  esac
  flags=$(declare -p PS1 2>/dev/null) || :
  flags=${flags#declare -}
  if [[ ${flags%% *} == *r* ]]; then
    AWSRUNAS_SEGMENT=off # PS1 is readonly
  fi
  # Notes when a command starts: an arithmetic offset is evaluated in this shell.
  if ((version >= 404)) && shopt -q promptvars && [[ ${PS0-} != *__awsrunas_ran* ]]; then
    # shellcheck disable=SC2016
    PS0=${PS0-}'${__awsrunas_nil:$((__awsrunas_ran=SECONDS+1,0)):0}'
  fi
}
if [[ $- == *i* ]]; then
  __awsrunas_install
fi
unset -f __awsrunas_install
